// hls.js as it plays where nobody asks for low latency.
import { open as openHls } from "./hls.js";

export const open = (video, report) => openHls(video, report, { lowLatencyMode: false });
