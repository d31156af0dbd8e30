import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { HourOfWeek, nextQuarterMs } from '../../shared/domain/hour-of-week.ts';
import { extractPackage } from '../programs.ts';
import { isLong } from '../test-scale.ts';
import { treeFingerprint } from '../tree-difference.ts';
import { always, dpId, LimitedPush, mebibyte, megabyte } from './limited-push.ts';

/** Zones whose hours begin at these minutes: so an edge of a schedule is never far. */
const zoneOfMinute = new Map([
  [0, 'UTC'],
  [15, 'Asia/Kathmandu'],
  [30, 'Asia/Kolkata'],
]);

/** The next time from then on at which an hour begins in one of these zones. */
function nextEdge(fromMs: number): { readonly atMs: number; readonly timeZone: string } {
  for (let atMs = nextQuarterMs(fromMs); ; atMs = nextQuarterMs(atMs)) {
    const timeZone = zoneOfMinute.get(new Date(atMs).getUTCMinutes());
    if (timeZone) return { atMs, timeZone };
  }
}

/** A grid that is closed in one hour, the one of this time. */
function closedAt(atMs: number, timeZone: string) {
  const hour = new HourOfWeek(timeZone).at(atMs);
  const { hours } = always('open');
  return {
    timeZone,
    hours: hours.map((level, index) => (index === hour ? ('closed' as const) : level)),
  };
}

/** Waits for the clock: up to an hour. */
async function untilTime(atMs: number): Promise<void> {
  while (Date.now() < atMs) await sleep(Math.min(1_000, atMs - Date.now()));
}

// It takes the clock an hour: once for real, besides all that a clock of a test has shown.
if (isLong) {
  describe('a schedule, by the clock of the machine (PTM-5)', () => {
    it('stops a push at the edge of an hour, and lets it go on at another', async function () {
      this.timeout(2 * 3_600_000);
      await using ground = await LimitedPush.start();
      const { administrator, proxy } = ground;
      const { source, packageId } = await ground.bigFile(64 * mebibyte);
      const filter = { packageId, dpId };
      const closing = nextEdge(Date.now() + 20_000);
      await administrator.setLimit(dpId, megabyte);
      await administrator.setSchedule(dpId, closedAt(closing.atMs, closing.timeZone));
      await untilTime(closing.atMs - 15_000);
      await administrator.distribute(packageId, dpId);
      await untilTime(closing.atMs - 1_000);
      const atEdge = proxy.forwardedBytes;
      assert.ok(atEdge > 10 * megabyte, `${atEdge} bytes`);
      await untilTime(closing.atMs + 1_000);
      const stopped = proxy.forwardedBytes;
      assert.ok(stopped >= atEdge + 0.8 * megabyte, 'it went on up to the edge');
      const opening = nextEdge(closing.atMs + 60_000);
      await administrator.setSchedule(dpId, closedAt(opening.atMs - 1_000, opening.timeZone));
      const job = await administrator.jobIs(filter, (one) => one.waitingReason === 'window-closed');
      assert.ok(job.reason.includes(new Date(opening.atMs).toISOString().slice(11, 16)));
      await untilTime(opening.atMs - 500);
      // Signs of life, a few bytes each.
      const idleSeconds = (opening.atMs - closing.atMs) / 1_000;
      assert.ok(proxy.forwardedBytes - stopped < 4_096 + 100 * idleSeconds, 'nothing went');
      await untilTime(opening.atMs + 2_500);
      assert.ok(proxy.forwardedBytes - stopped >= megabyte, 'it goes on');
      await administrator.setLimit(dpId, undefined);
      await administrator.installed(filter);
      const out = await extractPackage(ground.network, dpId, packageId);
      assert.equal(await treeFingerprint(out), await treeFingerprint(source));
    });
  });
}
