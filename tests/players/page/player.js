// Puts one player on the page's <video> and a probe beside it: `?player=hls|hls-catching-up|hls-plain|dash|shaka`.
import { Probe } from "./probe.js";

const player = new URLSearchParams(location.search).get("player");
const video = document.querySelector("video");
const { open } = await import(`./adapters/${player}.js`);
const probe = new Probe(video);
probe.adapter = await open(video, (error) => probe.playerErrors.push(error));
window.probe = probe;
