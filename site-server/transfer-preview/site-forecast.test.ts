import assert from 'node:assert/strict';
import type { TransferControls } from '../../shared/domain/transfer-controls.ts';
import { forecastSite, type QueuedTransfer } from './site-forecast.ts';

const mb = 1_000_000;
const nowMs = Date.UTC(2024, 0, 1);

function transfer(
  facts: {
    seconds?: number;
    isPull?: boolean;
    dpPriority?: number;
    controls?: TransferControls;
  } = {},
): QueuedTransfer {
  const { seconds = 10, isPull = false, dpPriority = 200, controls } = facts;
  const subject = {
    ...({ bytes: seconds * mb, priority: 2, measuredBytesPerSecond: mb } as const),
    controls: controls ? [controls] : [],
  };
  return { subject, isPull, dpPriority };
}

function durationOf(transfers: readonly QueuedTransfer[], atOnceMax = 2): number | undefined {
  return forecastSite(transfers, { atOnceMax, links: [] }, nowMs).durationMs;
}

describe('forecast of a site', () => {
  it('serves so many DPs at once, the others as places become free (PTM-2)', () => {
    assert.equal(durationOf([transfer(), transfer()]), 10_000);
    assert.equal(durationOf([transfer(), transfer(), transfer()]), 20_000);
    assert.equal(durationOf([transfer({ seconds: 30 }), transfer(), transfer()]), 30_000);
  });

  it('lets pull DPs fetch all at once', () => {
    const pull = transfer({ isPull: true });
    assert.equal(durationOf([pull, pull, pull, pull]), 10_000);
  });

  it('gives no place to a DP whose schedule is closed', () => {
    const hours = new Array<'open' | 'closed'>(168).fill('closed').fill('open', 1, 2);
    const later = transfer({ controls: { schedule: { timeZone: 'UTC', hours } } });
    assert.equal(durationOf([later, transfer(), transfer()], 1), 3_600_000 + 10_000);
  });

  it('is never done before a link that is shared', () => {
    const links = [{ waitsMs: 0, durationMs: 99_000, bytesPerSecond: 1 }];
    const forecast = forecastSite([transfer()], { atOnceMax: 5, links }, nowMs);
    assert.equal(forecast.durationMs, 99_000);
  });

  it('does not say what it does not know of one of them', () => {
    const unknown = transfer();
    const unmeasured = {
      ...unknown,
      subject: { ...unknown.subject, measuredBytesPerSecond: 0 },
    };
    const forecast = forecastSite([transfer(), unmeasured], { atOnceMax: 5, links: [] }, nowMs);
    assert.deepEqual([forecast.durationMs, forecast.unknown], [undefined, 'no-rate']);
  });
});
