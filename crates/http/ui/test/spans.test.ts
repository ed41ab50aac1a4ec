import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gapExit, gapsIn, grownTo, offsetAtWall, playableAt, spanAt, stepFrom, wallAtOffset } from '../src/time/spans';

const spans = [
  { startMs: 10_000, endMs: 20_000 },
  { startMs: 30_000, endMs: 50_000 },
];

test('gaps are the holes before, between and after the spans, up to now', () => {
  assert.deepEqual(gapsIn({ fromMs: 0, toMs: 100_000 }, spans, 60_000), [
    { startMs: 0, endMs: 10_000 },
    { startMs: 20_000, endMs: 30_000 },
    { startMs: 50_000, endMs: 60_000 },
  ]);
  assert.deepEqual(gapsIn({ fromMs: 0, toMs: 100_000 }, [], 60_000), [{ startMs: 0, endMs: 60_000 }]);
  assert.deepEqual(gapsIn({ fromMs: 10_000, toMs: 100_000 }, spans.slice(0, 1), 20_000), []);
});

test('a time within a span is played as it is, at its very start from the first picture', () => {
  assert.equal(playableAt(spans, 15_000), 15_000);
  // A start that was rounded may lie before the first picture.
  const start = playableAt(spans, 10_000) ?? 0;
  assert.ok(start > 10_000 && start < 10_100, String(start));
  assert.equal(spanAt(spans, 20_000), undefined);
});

test('a time in a gap goes to the next recorded instant', () => {
  const target = playableAt(spans, 25_000) ?? 0;
  assert.ok(target >= 30_000 && target < 30_100, String(target));
  const first = playableAt(spans, 0) ?? 0;
  assert.ok(first >= 10_000 && first < 10_100, String(first));
});

test('a time after the last recording goes to its end; without recordings there is nothing to play', () => {
  const target = playableAt(spans, 90_000) ?? 0;
  assert.ok(target > 45_000 && target < 50_000, String(target));
  assert.equal(playableAt([], 5_000), null);
});

test('a step back into a gap lands before it, a step forward behind it', () => {
  const back = stepFrom(spans, 31_000, -5_000) ?? 0;
  assert.ok(back > 15_000 && back < 20_000, String(back));
  const forward = stepFrom(spans, 19_000, 5_000) ?? 0;
  assert.ok(forward >= 30_000 && forward < 30_100, String(forward));
  assert.equal(stepFrom(spans, 41_000, -5_000), 36_000);
  assert.ok((stepFrom(spans, 11_000, -60_000) ?? 0) >= 10_000);
});

test('a player in a gap is taken out of it at once', () => {
  const exit = gapExit(spans, 22_000, false) ?? 0;
  assert.ok(exit >= 30_000 && exit < 30_100, String(exit));
});

test('a player just before a gap is taken over it only when it is stuck', () => {
  assert.equal(gapExit(spans, 19_500, false), null);
  assert.ok((gapExit(spans, 19_500, true) ?? 0) >= 30_000);
  assert.equal(gapExit(spans, 15_000, true), null);
});

test('there is no way out after the last recording: it has to grow first', () => {
  assert.equal(gapExit(spans, 49_900, true), null);
  assert.equal(gapExit(spans, 70_000, true), null);
});

test('a player that leaves gaps out is translated both ways', () => {
  assert.equal(wallAtOffset(spans, 10_000, 5_000), 15_000);
  assert.equal(wallAtOffset(spans, 10_000, 12_000), 32_000);
  assert.equal(wallAtOffset(spans, 10_000, 40_000), 60_000);
  assert.equal(offsetAtWall(spans, 10_000, 15_000), 5_000);
  assert.equal(offsetAtWall(spans, 10_000, 25_000), 10_000);
  assert.equal(offsetAtWall(spans, 10_000, 32_000), 12_000);
});

test('a playlist that begins within a span counts from there', () => {
  assert.equal(wallAtOffset(spans, 12_000, 9_000), 31_000);
  assert.equal(offsetAtWall(spans, 12_000, 31_000), 9_000);
});

test('the last span grows to what the player already sees, never shrinks', () => {
  assert.deepEqual(grownTo(spans, 55_000)[1], { startMs: 30_000, endMs: 55_000 });
  assert.deepEqual(grownTo(spans, 40_000), spans);
  assert.deepEqual(grownTo([], 40_000), []);
});
