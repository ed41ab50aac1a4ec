import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goesPastDisk, type Situation } from '../src/player/path';

const well: Situation = { pastDisk: false, live: true, recordingError: null, follows: true, recordedUntilMs: 98_000, nowMs: 100_000 };
const full: Situation = { ...well, recordingError: 'disk_full' };

test('what is recorded is shown from the recording', () => {
  assert.equal(goesPastDisk(well), false);
  assert.equal(goesPastDisk({ ...well, recordedUntilMs: 0 }), false, 'a camera that is away is no disk that is full');
});

test('the live picture goes past a disk that cannot be written', () => {
  assert.equal(goesPastDisk(full), true);
  assert.equal(goesPastDisk({ ...full, follows: false }), false, 'who looks at the past stays there');
  assert.equal(goesPastDisk({ ...full, live: false }), false, 'there is no live picture');
  assert.equal(goesPastDisk({ ...full, pastDisk: true, live: false, follows: false }), true, 'nor does it change back and forth');
});

test('it returns when the recording has come near enough', () => {
  const written = { ...well, pastDisk: true };
  assert.equal(goesPastDisk({ ...written, recordedUntilMs: 60_000 }), true);
  assert.equal(goesPastDisk(written), false);
});
