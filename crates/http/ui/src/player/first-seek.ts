// Until the first picture is there a player goes to where it begins, and would forget any other place it is sent to.

/** Seeks, the first time when there is a picture. */
export class FirstSeek {
  private begun = false;

  /** Goes to `wantedMs` (Unix ms) when it begins; `null`: stays where it begins. */
  constructor(
    private readonly video: HTMLVideoElement,
    private readonly seek: (wallMs: number) => void,
    private wantedMs: number | null,
  ) {
    video.addEventListener('loadeddata', this.onPicture);
  }

  /** Goes to `wallMs`, Unix ms. */
  to(wallMs: number): void {
    if (this.begun) this.seek(wallMs);
    else this.wantedMs = wallMs;
  }

  destroy(): void {
    this.video.removeEventListener('loadeddata', this.onPicture);
  }

  private readonly onPicture = (): void => {
    this.begun = true;
    if (this.wantedMs !== null) this.seek(this.wantedMs);
    this.wantedMs = null;
  };
}
