import type { ChangeLog } from './change-log.ts';
import type { Neighbour } from './neighbour.ts';
import type { RowName } from './replicated-rows.ts';

/** Changes behind that are counted, so that to ask costs little. */
export const lagCountMax = 10_000;

/** Whose lag it is, and when. */
export interface LagQuestion {
  readonly neighbour: Neighbour;
  /** What it has of each origin, by its own word. */
  readonly acknowledged: Readonly<Record<string, number>>;
  readonly nowMs: number;
}

/** What a neighbour lacks of the changes of this site's side. */
export async function lagOf(
  log: ChangeLog,
  about: LagQuestion,
): Promise<{ changesBehind: number; behindMs: number }> {
  const { neighbour, acknowledged, nowMs } = about;
  let changesBehind = 0;
  let oldestMs = nowMs;
  for (const origin of log.origins()) {
    const after = acknowledged[origin] ?? 0;
    if (neighbour.isOnItsSide(origin) || after >= log.headOf(origin)) continue;
    const countMax = lagCountMax - changesBehind;
    if (countMax <= 0) break;
    const isFor = (name: RowName) => neighbour.isFor(name, origin);
    const lag = await log.reader.countAfter(origin, after, { countMax, isFor });
    changesBehind += lag.count;
    if (lag.count > 0) oldestMs = Math.min(oldestMs, lag.firstMs);
  }
  return { changesBehind, behindMs: nowMs - oldestMs };
}

/** Age of the oldest change that a neighbour lacks; 0: none. Reads a row or so for each site that it lacks something of. */
export async function delayMsOf(log: ChangeLog, about: LagQuestion): Promise<number> {
  const { neighbour, acknowledged, nowMs } = about;
  let oldestMs = nowMs;
  for (const origin of log.origins()) {
    const after = acknowledged[origin] ?? 0;
    if (neighbour.isOnItsSide(origin) || after >= log.headOf(origin)) continue;
    const firstMs = await log.reader.firstMsAfter(origin, after, (name) =>
      neighbour.isFor(name, origin),
    );
    oldestMs = Math.min(oldestMs, firstMs ?? nowMs);
  }
  return nowMs - oldestMs;
}
