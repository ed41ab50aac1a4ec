import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exportPath, offeredTimes } from '../src/player/export';

test('two times of a day are a stretch of it', () => {
  assert.equal(exportPath('cam', '2026-11-22', '17:00', '17:10:05'), 'cam/export?from=2026-11-22T17:00:00&to=2026-11-22T17:10:05');
});

test('an end before the beginning is one of the next day', () => {
  assert.equal(exportPath('cam', '2026-12-31', '23:59:30', '00:00:30'), 'cam/export?from=2026-12-31T23:59:30&to=2027-01-01T00:00:30');
  assert.equal(exportPath('cam', '2026-11-22', '17:00:00', '17:00:00'), 'cam/export?from=2026-11-22T17:00:00&to=2026-11-22T17:00:00', 'the server says that this is nothing');
});

test('what was just seen is offered, of the same day', () => {
  const zone = 'Europe/Berlin';
  const fromMs = Date.parse('2026-11-22T00:00:00+01:00');
  const shown = { date: '2026-11-22', fromMs, zone };
  assert.deepEqual(offeredTimes({ ...shown, wallMs: Date.parse('2026-11-22T17:03:05.400+01:00') }), { from: '17:02:05', to: '17:03:05' });
  assert.deepEqual(offeredTimes({ ...shown, wallMs: fromMs + 20_000 }), { from: '00:00:00', to: '00:00:20' });
  assert.equal(offeredTimes({ ...shown, wallMs: null }), null);
});
