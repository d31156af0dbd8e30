import assert from 'node:assert/strict';
import {
  hoursOfWeek,
  type TransferControls,
  type WindowLevel,
} from '../domain/transfer-controls.ts';
import { type ForecastSubject, forecastTransfer } from './transfer-forecast.ts';

/** A Monday, 00:00 in Greenwich. */
const mondayMs = Date.UTC(2024, 0, 1);
const hourMs = 3_600_000;
const mb = 1_000_000;

function openIn(isOpen: (hour: number) => boolean, level: WindowLevel = 'open'): TransferControls {
  const hours = Array.from({ length: hoursOfWeek }, (_, hour) => (isOpen(hour) ? level : 'closed'));
  return { schedule: { timeZone: 'UTC', hours } };
}

function limitedTo(bytesPerSecond: number): TransferControls {
  return { limit: { kind: 'rate', bytesPerSecond } };
}

function subject(facts: Partial<ForecastSubject>): ForecastSubject {
  return { bytes: 100 * mb, priority: 2, controls: [], measuredBytesPerSecond: 0, ...facts };
}

describe('forecast of a transfer (PTM-5, PTM-6)', () => {
  it('takes the lowest of what is set and what was measured', () => {
    const controls = [limitedTo(5 * mb), limitedTo(2 * mb)];
    const limited = forecastTransfer(
      subject({ controls, measuredBytesPerSecond: 10 * mb }),
      mondayMs,
    );
    assert.deepEqual(limited, {
      ...{ waitsMs: 0, durationMs: 50_000, bytesPerSecond: 2 * mb, pace: 'limit' },
    });
    const measured = forecastTransfer(subject({ controls, measuredBytesPerSecond: mb }), mondayMs);
    assert.deepEqual([measured.durationMs, measured.pace], [100_000, 'measured']);
  });

  it('says that nothing is known where nothing is set and nothing was measured', () => {
    const forecast = forecastTransfer(subject({}), mondayMs);
    assert.equal(forecast.durationMs, undefined);
    assert.equal(forecast.unknown, 'no-rate');
  });

  it('counts the pauses of pulses', () => {
    const limit = { kind: 'pulse', blockBytes: mb, delayMs: 500 } as const;
    const forecast = forecastTransfer(subject({ controls: [{ limit }] }), mondayMs);
    assert.equal(forecast.durationMs, 50_000);
  });

  it('waits for the window, and stops where it closes', () => {
    const controls = [openIn((hour) => hour % 24 === 2), limitedTo(mb)];
    const within = forecastTransfer(subject({ controls }), mondayMs);
    assert.deepEqual([within.waitsMs, within.durationMs], [2 * hourMs, 2 * hourMs + 100_000]);
    const bytes = 3_700 * mb;
    const beyond = forecastTransfer(subject({ controls, bytes }), mondayMs);
    assert.equal(beyond.durationMs, 26 * hourMs + 100_000);
  });

  it('begins when all passages are open together', () => {
    const controls = [
      openIn((hour) => hour % 24 < 4),
      openIn((hour) => hour % 24 >= 3),
      limitedTo(mb),
    ];
    assert.equal(forecastTransfer(subject({ controls }), mondayMs).waitsMs, 3 * hourMs);
  });

  it('knows which priority a window is for, and one that never opens', () => {
    const controls = [openIn(() => true, 'high-only'), limitedTo(mb)];
    assert.equal(forecastTransfer(subject({ controls, priority: 1 }), mondayMs).waitsMs, 0);
    assert.equal(forecastTransfer(subject({ controls }), mondayMs).unknown, 'never-open');
  });

  it('follows a limit that differs by the hour', () => {
    const bytesPerSecond = Array.from({ length: hoursOfWeek }, (_, hour) =>
      hour === 0 ? mb : 2 * mb,
    );
    const limit = { kind: 'hourly', timeZone: 'UTC', bytesPerSecond } as const;
    const forecast = forecastTransfer(
      subject({ controls: [{ limit }], bytes: 3_600 * mb + 100 * mb }),
      mondayMs,
    );
    assert.equal(forecast.durationMs, hourMs + 50_000);
  });

  it('does not look ahead for ever', () => {
    const controls = [openIn((hour) => hour === 5), limitedTo(1024)];
    const forecast = forecastTransfer(subject({ controls, bytes: 1e12 }), mondayMs);
    assert.equal(forecast.unknown, 'too-long');
  });
});
