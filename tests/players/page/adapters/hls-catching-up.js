// hls.js with the one setting with which it comes nearer when it is further behind than it aims at.
import { open as openHls } from "./hls.js";

export const open = (video, report) => openHls(video, report, { maxLiveSyncPlaybackRate: 1.1 });
