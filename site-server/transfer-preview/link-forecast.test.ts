import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { TransferControls } from '../../shared/domain/transfer-controls.ts';
import { Passage } from '../../shared/transfer-arbiter/passage.ts';
import { forecastTransfer } from '../../shared/transfer-arbiter/transfer-forecast.ts';
import { forecastLink, type LinkPart } from './link-forecast.ts';

const mb = 1_000_000;
const hourMs = 3_600_000;
/** A Monday, 00:00 in Greenwich. */
const nowMs = Date.UTC(2024, 0, 1);
const limited: TransferControls = { limit: { kind: 'rate', bytesPerSecond: mb } };

function openFrom(fromHour: number): TransferControls {
  const hours = new Array<'open' | 'closed'>(168).fill('open').fill('closed', 0, fromHour);
  return { schedule: { timeZone: 'UTC', hours } };
}

const never = openFrom(168);

/** A DP of the link: by its own controls and those of the link, as its row has it. */
function part(facts: {
  megabytes?: number;
  own?: TransferControls;
  measured?: number;
  link?: TransferControls;
}): LinkPart {
  const { megabytes = 100, own = {}, measured = 0, link = limited } = facts;
  const bytes = megabytes * mb;
  const subject = { bytes, priority: 2, controls: [own, link], measuredBytesPerSecond: measured };
  return { bytes, forecast: forecastTransfer(subject as never, nowMs) };
}

const over = (parts: readonly LinkPart[], controls = limited) =>
  forecastLink({ controls, priority: 2 }, parts, nowMs);

describe('forecast of a link that DPs and routes share (PTM-6)', () => {
  it('takes as long as all of it together, at its limit', () => {
    assert.deepEqual(over([part({}), part({ megabytes: 50 })]), {
      ...{ waitsMs: 0, durationMs: 150_000, bytesPerSecond: mb, pace: 'limit' },
    });
  });

  it('begins with the first of its DPs, and ends with none of them earlier', () => {
    const parts = [part({ own: openFrom(3) }), part({ own: openFrom(5) })];
    const { waitsMs, durationMs } = over(parts);
    assert.deepEqual([waitsMs, durationMs], [3 * hourMs, 5 * hourMs + 100_000]);
    const slow = over([part({ measured: mb / 10 }), part({})]);
    assert.equal(slow.durationMs, 1_000_000);
  });

  it('lets those that open at the same time share it from then on', () => {
    const parts = [part({}), part({ own: openFrom(2) }), part({ own: openFrom(2) })];
    const { waitsMs, durationMs } = over(parts);
    assert.deepEqual([waitsMs, durationMs], [0, 2 * hourMs + 200_000]);
  });

  it('waits for its own schedule, too', () => {
    const link = { ...limited, ...openFrom(4) };
    const { waitsMs, durationMs } = over([part({ own: openFrom(1), link })], link);
    assert.deepEqual([waitsMs, durationMs], [4 * hourMs, 4 * hourMs + 100_000]);
  });

  it('goes by its DPs where it has no limit itself', () => {
    const link = openFrom(0);
    const parts = [part({ own: { ...limited, ...openFrom(1) }, link })];
    const { waitsMs, durationMs, bytesPerSecond } = over(parts, link);
    assert.deepEqual([waitsMs, durationMs, bytesPerSecond], [hourMs, hourMs + 100_000, 0]);
  });

  it('does not say when it ends where a DP does not', () => {
    const parts = [part({ own: never }), part({ own: openFrom(2) })];
    const { waitsMs, durationMs, unknown } = over(parts);
    assert.deepEqual([waitsMs, durationMs, unknown], [2 * hourMs, undefined, 'never-open']);
    assert.deepEqual(over([part({ own: never })]).waitsMs, 0);
    const unmeasured = over([part({ link: {} })], {});
    assert.deepEqual([unmeasured.durationMs, unmeasured.unknown], [undefined, 'no-rate']);
  });

  /** By the hour, and closed in some: less at night. */
  const byHour: TransferControls = {
    ...openFrom(2),
    limit: {
      ...{ kind: 'hourly', timeZone: 'UTC' },
      bytesPerSecond: Array.from({ length: 168 }, (_, hour) => (hour % 3 === 0 ? mb / 20 : mb)),
    },
  };

  it('is through when the last that opens at some time or later is, whenever that is', () => {
    const facts = fc.record({
      fromHour: fc.integer({ min: 0, max: 60 }),
      megabytes: fc.nat(4_000),
    });
    fc.assert(
      fc.property(
        fc.array(facts, { maxLength: 6 }),
        fc.constantFrom(limited, byHour),
        (all, link) => {
          const parts = all.map(({ fromHour, megabytes }) => {
            return part({ own: openFrom(fromHour), megabytes: megabytes + 1, link });
          });
          const ends = parts.map(({ forecast }) => {
            const later = parts.filter((one) => one.forecast.waitsMs >= forecast.waitsMs);
            const bytes = later.reduce((sum, one) => sum + one.bytes, 0);
            const subject = {
              bytes,
              priority: 2,
              controls: [link],
              measuredBytesPerSecond: 0,
            } as const;
            const { durationMs = 0 } = forecastTransfer(subject, nowMs + forecast.waitsMs);
            return forecast.waitsMs + durationMs;
          });
          const { durationMs = 0 } = over(parts, link);
          assert.ok(Math.abs(durationMs - Math.max(0, ...ends)) <= 2);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('walks through the hours once, however many open at different times', () => {
    const { isOpenTo } = Passage.prototype;
    let lookCount = 0;
    const parts = Array.from({ length: 150 }, (_, hour) => {
      return part({ own: openFrom(hour), megabytes: 3_000, link: byHour });
    });
    Passage.prototype.isOpenTo = function (priority, thenMs) {
      lookCount += 1;
      return isOpenTo.call(this, priority, thenMs);
    };
    try {
      assert.ok((over(parts, byHour).durationMs ?? 0) > 149 * hourMs);
    } finally {
      Passage.prototype.isOpenTo = isOpenTo;
    }
    assert.ok(lookCount < 2_000, `${lookCount} looks`);
  });
});
