// The server's JSON, as this page uses it.

import type { Gap, Span } from './time/spans';

export type CameraState = 'connecting' | 'live' | 'stalled' | 'reconnecting' | 'failed';

export interface Camera {
  readonly id: string;
  readonly state: CameraState;
  readonly since: string;
  readonly last_error: null | { readonly code: string; readonly message: string };
  readonly reconnects: number;
  readonly video: null | {
    readonly codec: string;
    readonly converted_from: string | null;
    readonly width: number;
    readonly height: number;
    readonly fps: number | null;
    readonly bitrate_bps: number | null;
    readonly gop_s: number | null;
  };
  readonly audio: null | { readonly codec: string; readonly sample_rate_hz: number; readonly channels: number; readonly converted_from: string | null };
  readonly last_frame_age_s: number | null;
  readonly dropped_frames: number;
  /** Why nothing is recorded although the camera delivers. */
  readonly recording_error: string | null;
  /** The same in one word. */
  readonly recording_error_code: string | null;
  readonly recorded_today_s: number;
  readonly bytes_today: number;
  readonly timezone: string;
}

/** Something that happened to a camera. */
export interface CameraEvent {
  readonly time: string;
  readonly last: string;
  readonly times: number;
  readonly kind: string;
  readonly code: string;
  readonly message: string;
}

interface RawSpan {
  readonly start: string;
  readonly end: string;
}

interface RawDay extends RawSpan {
  readonly date: string;
  readonly today: boolean;
  readonly bytes: number;
  readonly spans: readonly RawSpan[];
  readonly gaps: readonly (RawSpan & { readonly cause: string | null })[];
}

/** One local day of a camera; times are Unix ms. */
export interface Day {
  /** `2026-11-22`, also its name in URLs. */
  readonly date: string;
  readonly today: boolean;
  readonly fromMs: number;
  readonly toMs: number;
  readonly bytes: number;
  readonly spans: readonly Span[];
  readonly gaps: readonly Gap[];
}

/** The server answered with an error, or not at all (`status` 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** A moment that is kept. Times as the server writes them; paths begin with a slash. */
export interface Moment {
  readonly time: string;
  readonly url: string;
  readonly start: string;
  readonly duration_s: number;
  readonly bytes: number;
  /** Why it is shorter than was asked for, in one word. */
  readonly starts_late: string | null;
  readonly ends_early: string | null;
  readonly gif_url?: string | null;
  readonly gif_error?: string;
}

const TIMEOUT_MS = 10_000;
/** A moment may wait for others for half a minute. */
const MOMENT_TIMEOUT_MS = 60_000;

// The scripts are in <base>/assets/, so the page also works below a path of a reverse proxy.
const base = new URL('../', import.meta.url);

/** The absolute URL of a path of this server, given without its leading slash. */
export function serverUrl(path: string): string {
  return new URL(path, base).href;
}

/** The absolute URL of a path that the server answered: it knows its base path, if one is configured. */
export function answeredUrl(path: string): string {
  return path.startsWith(base.pathname) ? new URL(path, base).href : serverUrl(path.slice(1));
}

/** The path of this page, with a leading slash, wherever the server's first folder is. */
function pathOfAddress(): string {
  return location.pathname.startsWith(base.pathname) ? `/${location.pathname.slice(base.pathname.length)}` : '/';
}

/** The camera that this page's address names, or `null` on the list of all cameras. */
export function cameraOfAddress(): string | null {
  const id = pathOfAddress().split('/')[1] ?? '';
  return id === '' || id === 'index.html' ? null : id;
}

let serverAheadMs = 0;

/** Now by the server's clock, within a second or so, Unix ms: the recordings follow it, not this computer's. */
export function serverNowMs(): number {
  return Date.now() + serverAheadMs;
}

/** Fetches a path of this server, with a time limit; every failure is an `ApiError`. */
export async function request(
  path: string,
  signal?: AbortSignal,
  { method = 'GET', timeoutMs = TIMEOUT_MS }: { readonly method?: string; readonly timeoutMs?: number } = {},
): Promise<Response> {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, timeoutMs);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    const response = await fetch(serverUrl(path), { method, signal: controller.signal, cache: 'no-store' });
    const date = Date.parse(response.headers.get('date') ?? '');
    // The header has whole seconds: half a second is the best guess for the rest.
    if (Number.isFinite(date)) serverAheadMs = date + 500 - Date.now();
    if (response.status === 401) location.assign(serverUrl(`login?next=${encodeURIComponent(pathOfAddress())}`));
    if (!response.ok) throw new ApiError(response.status, await errorMessage(response));
    return response;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(0, 'The server does not answer.');
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

async function errorMessage(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { error?: { message?: string } };
    return body.error?.message ?? `The server answered ${response.status}.`;
  } catch {
    return `The server answered ${response.status}.`;
  }
}

/** Who is logged in; `null` where nobody has to. */
export async function fetchUser(): Promise<string | null> {
  return ((await (await request('api/me')).json()) as { user: string | null }).user;
}

export async function fetchCameras(signal?: AbortSignal): Promise<Camera[]> {
  return (await (await request('api/cameras', signal)).json()) as Camera[];
}

export async function fetchCamera(id: string, signal?: AbortSignal): Promise<Camera> {
  return (await (await request(`api/cameras/${encodeURIComponent(id)}`, signal)).json()) as Camera;
}

/** The kept days, oldest first. */
export async function fetchDays(id: string, signal?: AbortSignal): Promise<Day[]> {
  const response = await request(`api/cameras/${encodeURIComponent(id)}/days`, signal);
  const days = (await response.json()) as RawDay[];
  const span = ({ start, end }: RawSpan): Span => ({ startMs: Date.parse(start), endMs: Date.parse(end) });
  return days.map((day) => ({
    date: day.date,
    today: day.today,
    bytes: day.bytes,
    fromMs: Date.parse(day.start),
    toMs: Date.parse(day.end),
    spans: day.spans.map(span),
    gaps: day.gaps.map((gap) => ({ ...span(gap), cause: gap.cause })),
  }));
}

/** The film of a day that is over. */
export interface Timelapse {
  readonly date: string;
  readonly url: string;
  readonly duration_s: number;
  readonly bytes: number;
}

/** What happened to the camera, oldest first. */
export async function fetchEvents(id: string, signal?: AbortSignal): Promise<CameraEvent[]> {
  return (await (await request(`api/cameras/${encodeURIComponent(id)}/events`, signal)).json()) as CameraEvent[];
}

/** The timelapses, oldest first. */
export async function fetchTimelapses(id: string, signal?: AbortSignal): Promise<Timelapse[]> {
  return (await (await request(`${encodeURIComponent(id)}/timelapse`, signal)).json()) as Timelapse[];
}

/** Keeps the last `lengthS` seconds. */
export async function generateMoment(id: string, lengthS: number): Promise<Moment> {
  const path = `${encodeURIComponent(id)}/moment/generate/${lengthS}/0`;
  const response = await request(path, undefined, { method: 'POST', timeoutMs: MOMENT_TIMEOUT_MS });
  return (await response.json()) as Moment;
}

/** Asks whether there is such an export; answers how large it is, bytes, if that is known before it is sent. */
export async function checkExport(path: string): Promise<number | null> {
  const response = await request(path);
  const length = response.headers.get('content-length');
  // Only the head of the answer was wanted.
  await response.body?.cancel();
  return length === null ? null : Number(length);
}

export async function deleteMoment(moment: Moment): Promise<void> {
  await request(answeredUrl(moment.url), undefined, { method: 'DELETE' });
}
