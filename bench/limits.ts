import { setTimeout as sleep } from 'node:timers/promises';
import { type WireExtremes, WireMeter } from '../integration/wire-meter.ts';
import { type LimitedGround, limitedWays } from './limited-ways.ts';

const megabyte = 1_000_000;
const rates = [1, 10, 50].map((megabytes) => megabytes * megabyte);
const streamCounts = [1, 50];
/** A minute, and what the ends need. */
const seconds = 66;
const [windowMs, minuteMs] = [10_000, 60_000];
/** What is promised (PTM-6). */
const [windowOffMax, minuteOffMax, changeMsMax] = [0.05, 0.02, 1_000];
/** More than any machine sends. */
const unlimited = 1_000_000 * megabyte;
/** Each is set while the one before it is kept. */
const changes = [10, 50, 1, 10].map((megabytes) => megabytes * megabyte);
/** How long each is kept, and in how much of that its rate must be seen. */
const [changedMs, seenMs] = [6_000, 4_000];

type Row = Record<string, string>;

/**
 * How well limits are kept on the wire: the worst 10 seconds of a minute, and the minute; and how soon
 * another limit is obeyed.
 */
export async function measureLimits(): Promise<void> {
  for (const { name, start } of limitedWays) {
    const [kept, changed]: [Record<string, Row>, Record<string, Row>] = [{}, {}];
    for (const streamCount of streamCounts) {
      const streams = `${streamCount} ${streamCount === 1 ? 'stream' : 'streams'}`;
      const ground = await start(streamCount);
      try {
        for (const rate of rates)
          kept[`${rate / megabyte} MB/s, ${streams}`] = await measured(ground, rate);
        for (const [change, row] of await measuredChanges(ground))
          changed[`${change}, ${streams}`] = row;
      } finally {
        await ground.stop();
      }
    }
    console.log(`\nLimits of a ${name}, on the wire`);
    console.table(kept);
    console.log(`\nLimits of a ${name} that change, on the wire`);
    console.table(changed);
    const isKept = [kept, changed].every((rows) =>
      Object.values(rows).every((row) => row.kept !== 'NO'),
    );
    if (!isKept) process.exitCode = 1;
  }
}

async function measured(ground: LimitedGround, rate: number): Promise<Row> {
  await ground.limit(rate);
  const before = ground.wireBytes();
  await using meter = new WireMeter(() => ground.wireBytes() - before);
  const bytes = rate * seconds;
  await ground.send(bytes);
  // From the first part on until the last ones, which may be all that is left.
  const span = { fromMs: meter.whenGone(rate / 100), toMs: meter.whenGone(0.99 * bytes) };
  const offIn = (ms: number) => worstOff(meter.extremes(ms, span), (rate * ms) / 1000);
  const [window, minute] = [offIn(windowMs), offIn(minuteMs)];
  const isKept = Math.abs(window) <= windowOffMax && Math.abs(minute) <= minuteOffMax;
  return {
    'worst 10 s': percent(window),
    'worst minute': percent(minute),
    'most in 1 s, MB': (meter.extremes(1_000, span).most / megabyte).toFixed(2),
    'looked at late, ms': meter.gapMs(span.fromMs, span.toMs).toFixed(0),
    kept: isKept ? 'yes' : 'NO',
  };
}

/** What one transfer does when its limit is changed again and again. */
async function measuredChanges(ground: LimitedGround): Promise<Map<string, Row>> {
  const [first = 0, ...later] = changes;
  await ground.limit(first);
  const before = ground.wireBytes();
  await using meter = new WireMeter(() => ground.wireBytes() - before);
  const bytes = changes.reduce((sum, rate) => sum + (2 * rate * changedMs) / 1000, 0);
  const sending = ground.send(bytes);
  sending.catch(() => {}); // It is waited for below.
  await Promise.race([meter.whenQuicker(0.9 * first), sending]);
  const rows = new Map<string, Row>();
  for (const [index, rate] of later.entries()) {
    const toldMs = meter.nowMs;
    await ground.limit(rate);
    await Promise.race([sleep(changedMs), sending]);
    const title = `${(changes[index] ?? 0) / megabyte} to ${rate / megabyte} MB/s`;
    rows.set(title, changeRow(obeyedAfterMs(meter, toldMs, rate)));
  }
  await ground.limit(unlimited);
  await sending;
  return rows;
}

function changeRow(afterMs: number): Row {
  const kept = afterMs <= changeMsMax ? 'yes' : 'NO';
  return { 'obeyed after, ms': afterMs.toFixed(0), kept };
}

/** When the rate was that of the limit, and stayed, since the command was given; Infinity: never. */
function obeyedAfterMs(meter: WireMeter, toldMs: number, rate: number): number {
  const wanted = (rate * seenMs) / 1000;
  for (let afterMs = 0; afterMs + seenMs <= changedMs; afterMs += 20) {
    const from = toldMs + afterMs;
    const off = meter.bytesBetween(from, from + seenMs) / wanted - 1;
    if (Math.abs(off) <= windowOffMax) return afterMs;
  }
  return Number.POSITIVE_INFINITY;
}

/** How far the worst window is off, as a part of what is allowed: above 0 when it has more. */
function worstOff({ most, least }: WireExtremes, allowed: number): number {
  const [over, under] = [(most - allowed) / allowed, (least - allowed) / allowed];
  return Math.abs(over) >= Math.abs(under) ? over : under;
}

function percent(part: number): string {
  return `${part >= 0 ? '+' : ''}${(100 * part).toFixed(2)} %`;
}
