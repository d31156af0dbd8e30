import assert from 'node:assert/strict';
import type { TransferControls } from '../domain/transfer-controls.ts';
import { patchedControls, type TransferControlsPatch } from '../domain/transfer-controls-patch.ts';
import type { TransferControls__Output } from '../rpc/generated/waybill/v1/TransferControls.ts';
import type { TransferControlsPatch__Output } from '../rpc/generated/waybill/v1/TransferControlsPatch.ts';
import {
  toTransferControls,
  toTransferControlsMessage,
  toTransferControlsPatch,
  toTransferControlsPatchMessage,
} from './transfer-controls-message.ts';

const hours = Array.from({ length: 168 }, () => 'WINDOW_LEVEL_OPEN' as const);
const nothing: TransferControls__Output = { schedule: null, limit: null };
const rates = Array.from({ length: 168 }, () => '65536');

describe('controls on the wire (PTM-5, PTM-6)', () => {
  const all: readonly TransferControls[] = [
    {},
    { limit: { kind: 'rate', bytesPerSecond: 1024 } },
    { limit: { kind: 'pulse', blockBytes: 4096, delayMs: 60_000 } },
    {
      schedule: { timeZone: 'Europe/Madrid', hours: hours.map(() => 'high-only') },
      limit: { kind: 'hourly', timeZone: 'UTC', bytesPerSecond: rates.map((_, i) => i * 2048) },
    },
  ];
  for (const controls of all) {
    it(`come back as they were: ${controls.limit?.kind ?? 'none'}`, () => {
      assert.deepEqual(toTransferControls(received(controls), 'controls'), controls);
    });
  }

  const refused: readonly (readonly [string, Partial<TransferControls__Output>, RegExp])[] = [
    ['too few hours', { schedule: { timeZone: 'UTC', hours: hours.slice(1) } }, /168 values.*167/],
    ['too many hours', { schedule: { timeZone: 'UTC', hours: [...hours, ...hours] } }, /got 336/],
    ['an unknown time zone', { schedule: { timeZone: 'Mars', hours } }, /IANA.*"Mars"/],
    [
      'an unknown level',
      { schedule: { timeZone: 'UTC', hours: ['WINDOW_LEVEL_UNSPECIFIED', ...hours.slice(1)] } },
      /hours\[0\].*WINDOW_LEVEL_CLOSED/,
    ],
    ['a limit of nothing', { limit: {} }, /a rate, pulses/],
    ['a rate too low', { limit: { kind: 'bytesPerSecond', bytesPerSecond: '1023' } }, /got 1023/],
    ['a rate too high', { limit: { kind: 'bytesPerSecond', bytesPerSecond: '2e12' } }, /1024 to/],
    [
      'a block too small',
      { limit: { kind: 'pulse', pulse: { blockBytes: '1', delayMs: 1 } } },
      /block_bytes.*4096/,
    ],
    [
      'a pause too long',
      { limit: { kind: 'pulse', pulse: { blockBytes: '4096', delayMs: 60_001 } } },
      /delay_ms.*60000/,
    ],
    [
      'an hour too slow',
      {
        limit: {
          kind: 'hourly',
          hourly: { timeZone: 'UTC', bytesPerSecond: ['1', ...rates.slice(1)] },
        },
      },
      /bytes_per_second\[0\]/,
    ],
  ];
  for (const [what, message, expected] of refused) {
    it(`are refused with ${what}`, () => {
      assert.throws(() => toTransferControls({ ...nothing, ...message }, 'controls'), expected);
    });
  }
});

/** As the wire gives it: whole numbers of 64 bits are texts. */
function received(controls: TransferControls): TransferControls__Output {
  const { schedule, limit } = toTransferControlsMessage(controls);
  return {
    ...nothing,
    ...(schedule && { schedule }),
    ...(limit && { limit: { ...asTexts(limit), kind: kindOf(controls) } }),
  } as TransferControls__Output;
}

function kindOf({ limit }: TransferControls): string {
  return limit?.kind === 'rate' ? 'bytesPerSecond' : (limit?.kind ?? '');
}

function asTexts(value: object): object {
  const texts = JSON.stringify(value, (key, one: unknown) =>
    typeof one === 'number' && key !== 'delayMs' ? `${one}` : one,
  );
  return JSON.parse(texts) as object;
}

describe('a change of controls (ADM-3)', () => {
  const limit = { kind: 'rate', bytesPerSecond: 2048 } as const;
  const schedule = { timeZone: 'UTC', hours: hours.map(() => 'closed' as const) };
  const both = { schedule, limit };
  const pulse = { kind: 'pulse', blockBytes: 4096, delayMs: 1 } as const;
  const cases: readonly (readonly [string, TransferControlsPatch, TransferControls | undefined])[] =
    [
      ['nothing', {}, both],
      ['another limit', { limit: pulse }, { schedule, limit: pulse }],
      ['no limit any more', { limit: 'none' }, { schedule }],
      ['no schedule any more', { schedule: 'none' }, { limit }],
      ['none of both', { schedule: 'none', limit: 'none' }, undefined],
    ];
  for (const [what, patch, expected] of cases) {
    it(`travels, and leaves what it does not say: ${what}`, () => {
      const message = toTransferControlsPatchMessage(patch);
      const sentLimit = message.limit && {
        ...asTexts(message.limit),
        kind: kindOf({ limit: pulse }),
      };
      const wire = { ...message, limit: sentLimit } as TransferControlsPatch__Output;
      assert.deepEqual(toTransferControlsPatch(wire, 'controls'), patch);
      assert.deepEqual(patchedControls(both, patch), expected);
    });
  }

  it('makes something of nothing', () => {
    assert.deepEqual(patchedControls(undefined, { limit }), { limit });
    assert.equal(patchedControls({}, undefined), undefined);
  });
});
