import assert from 'node:assert/strict';
import { Metadata } from '@grpc/grpc-js';
import fc from 'fast-check';
import { type ErrorDetails, errorCodes, WaybillError } from '../domain/errors.ts';
import { fromErrorTrailers, toErrorTrailers } from './error-detail.ts';
import { errorFactKinds, type FactKind } from './error-facts.ts';
import { metadataBytesMax } from './rpc-limits.ts';
import { errorDetailType } from './service-definitions.ts';

/** Any error of any code; texts as people write them. */
const anyError = fc.constantFrom(...errorCodes).chain((code) => {
  const kinds = Object.entries<FactKind>(errorFactKinds[code]);
  const facts = kinds.map(([name, kind]) => [
    name,
    kind === 'number' ? fc.nat() : fc.stringMatching(/^[\w äß😀/:.-]{0,100}$/u),
  ]);
  return fc
    .record(Object.fromEntries(facts) as Record<string, fc.Arbitrary<string | number>>)
    .map((values) => new WaybillError({ code, ...values } as unknown as ErrorDetails));
});

function trailersOf(detail: { code: string; facts: Record<string, string> }): Metadata {
  const trailers = new Metadata();
  trailers.set('waybill-error-bin', errorDetailType().serialize(detail));
  return trailers;
}

describe('errors on the wire', () => {
  it('arrive as they were, whatever code and facts', () => {
    fc.assert(
      fc.property(anyError, (error) => {
        const { details } = fromErrorTrailers(toErrorTrailers(error)) ?? {};
        assert.deepEqual({ ...details }, { ...error.details });
      }),
    );
  });

  it('fit into the trailers however long their facts are', () => {
    const long = '\u{1f600}'.repeat(50_000);
    const error = new WaybillError({
      code: 'PEER_UNREACHABLE',
      peer: long,
      address: long,
      reason: long,
    });
    const trailers = toErrorTrailers(error);
    const [header] = trailers.toHttp2Headers()['waybill-error-bin'] as string[];
    assert.ok(header && header.length < metadataBytesMax - 2_000, `${header?.length} bytes`);
    assert.equal(fromErrorTrailers(trailers)?.code, 'PEER_UNREACHABLE');
  });

  it('arrive from an older sender that does not know a fact that may be missing', () => {
    const facts = { field: 'holder', expected: 'a site', actual: '"x"' };
    const { details } = fromErrorTrailers(trailersOf({ code: 'REQUEST_INVALID', facts })) ?? {};
    assert.deepEqual({ ...details }, { code: 'REQUEST_INVALID', ...facts });
  });

  const refused: readonly [string, Metadata][] = [
    ['nothing', new Metadata()],
    ['an unknown code', trailersOf({ code: 'OUT_OF_CHEESE', facts: {} })],
    ['a code that is a property of objects', trailersOf({ code: 'constructor', facts: {} })],
    ['a missing fact', trailersOf({ code: 'PACKAGE_UNKNOWN', facts: {} })],
    [
      'a number that is none',
      trailersOf({ code: 'SOURCE_CHANGED', facts: { path: '/a', tries: 'many' } }),
    ],
    [
      'an infinite number',
      trailersOf({ code: 'SOURCE_CHANGED', facts: { path: '/a', tries: 'Infinity' } }),
    ],
    [
      'more than the limit',
      trailersOf({ code: 'PACKAGE_UNKNOWN', facts: { packageId: 'x'.repeat(9_000) } }),
    ],
  ];
  for (const [name, trailers] of refused) {
    it(`are not taken from ${name}`, () => {
      assert.equal(fromErrorTrailers(trailers), undefined);
    });
  }

  it('are not taken from bytes that are no message', () => {
    const trailers = new Metadata();
    trailers.set('waybill-error-bin', Buffer.from([0xff, 0xff, 0xff]));
    assert.equal(fromErrorTrailers(trailers), undefined);
  });

  it('lose facts that their code does not have, and control characters', () => {
    const facts = { packageId: 'PS1\u001b[2J', stack: 'at secret' };
    const error = fromErrorTrailers(trailersOf({ code: 'PACKAGE_UNKNOWN', facts }));
    assert.deepEqual(error?.details, { code: 'PACKAGE_UNKNOWN', packageId: 'PS1\ufffd[2J' });
  });
});
