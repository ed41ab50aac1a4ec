// The entry point: `/` lists the cameras, `/{camera}/` plays one.

import { cameraOfAddress } from './api';

const root = document.getElementById('app');
const camera = cameraOfAddress();

if (root) {
  document.documentElement.dataset['page'] = camera === null ? 'cameras' : 'camera';
  if (camera === null) {
    void import('./cameras/page').then((page) => page.showCameras(root));
  } else {
    void import('./player/page').then((page) => page.showCamera(root, camera));
  }
}
