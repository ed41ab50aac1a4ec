import assert from 'node:assert/strict';
import { test } from 'node:test';
import { previewPath } from '../src/player/preview';

const at = Date.parse('2026-11-22T11:00:00.400Z');

test('instants that are nearer to each other than the pointer is fine share a picture', () => {
  const day = 86_400;
  assert.equal(previewPath('cam', at, day), 'cam/frame/2026-11-22T10:59:31.200Z?nearest=keyframe&width=240');
  assert.equal(previewPath('cam', at + 50_000, day), previewPath('cam', at, day));
  assert.notEqual(previewPath('cam', at + 90_000, day), previewPath('cam', at, day));
});

test('never finer than a second', () => {
  assert.equal(previewPath('cam', at, 1), 'cam/frame/2026-11-22T11:00:00.000Z?nearest=keyframe&width=240');
});
