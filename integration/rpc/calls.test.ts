import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { encodeMessage } from '../../shared/rpc/service-definitions.ts';
import { AbortError } from '../../shared/runtime/abort-error.ts';
import { aborted, operator, promised, site, TrustCircle } from './trust-circle.ts';

const deadlineMs = 5_000;
const mib = 1024 * 1024;

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function* nothing(): AsyncGenerator<never> {
  for (const never of []) yield never;
}

describe('calls over mutual TLS', () => {
  it('unary: brings the request there and the answer back, and says who called', async () => {
    await using circle = await TrustCircle.create();
    const answer = { siteCode: 'PS1', agentVersion: '0.1.0', freeBytes: '18446744073709551615' };
    const server = await circle.serve('DistributionPoint', {
      check: async ({ dpId }, { caller }) => {
        assert.deepEqual(caller.identity, site);
        assert.match(caller.address, /^127\.0\.0\.1:\d+$/);
        return { ...answer, dpId };
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    const received = await channel.unary('check', { dpId: 'PS1DP1' }, { deadlineMs });
    assert.deepEqual({ ...received }, { ...answer, dpId: 'PS1DP1', certificate: null });
  });

  it('server stream: brings every answer, in order', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', {
      inspect: async function* ({ contentId }) {
        assert.equal(contentId, 'PS100001.1');
        for (let index = 0; index < 1_000; index++) yield { files: [{ entryIndex: index }] };
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    const parts = await collected(
      channel.serverStream('inspect', { contentId: 'PS100001.1' }, { deadlineMs }),
    );
    const indexes = parts.map(({ files }) => files[0]?.entryIndex);
    assert.deepEqual(
      indexes,
      Array.from({ length: 1_000 }, (_, index) => String(index)),
    );
  });

  it('server stream: leaving the loop cancels the call', async () => {
    await using circle = await TrustCircle.create();
    const ended = promised();
    const server = await circle.serve('DistributionPoint', {
      inspect: async function* (_request, { signal }) {
        try {
          yield {};
          await aborted(signal);
        } finally {
          ended.resolve();
        }
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    for await (const _part of channel.serverStream('inspect', {}, {})) break;
    await ended.promise;
  });

  it('client stream: brings every request, encoded by us or by the caller', async () => {
    await using circle = await TrustCircle.create();
    const got: string[] = [];
    const server = await circle.serve('DistributionPoint', {
      putManifest: async (requests) => {
        for await (const { chunk } of requests) got.push(chunk?.toString() ?? '');
        return {};
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    const requests = async function* () {
      yield { chunk: Buffer.from('a') };
      yield encodeMessage('DistributionPoint', 'putManifest', { chunk: Buffer.from('b') });
    };
    await channel.clientStream('putManifest', requests(), { deadlineMs });
    assert.deepEqual(got, ['a', 'b']);
  });

  it('client stream: an answer before the last request ends the call well', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', {
      putManifest: async (requests) => {
        for await (const _first of requests) break;
        return {};
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    const stopped = promised();
    const endless = async function* () {
      try {
        for (;;) yield { chunk: Buffer.alloc(mib) };
      } finally {
        stopped.resolve();
      }
    };
    assert.deepEqual(await channel.clientStream('putManifest', endless(), { deadlineMs }), {});
    await stopped.promise;
  });

  it('client stream: a failure of the requests cancels the call and comes out', async () => {
    await using circle = await TrustCircle.create();
    const started = promised();
    const told = promised();
    const server = await circle.serve('DistributionPoint', {
      putManifest: async (_requests, { signal }) => {
        started.resolve();
        await aborted(signal);
        told.resolve();
        throw new AbortError();
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    const failing = async function* () {
      yield { chunk: Buffer.alloc(1) };
      await started.promise;
      throw new Error('the disk is gone');
    };
    const answer = channel.clientStream('putManifest', failing(), { deadlineMs });
    await assert.rejects(answer, { message: 'the disk is gone' });
    await told.promise;
  });

  it('duplex: one encoding goes to many peers, each answer comes back in turn', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', {
      putContent: async function* (requests) {
        for await (const { piece } of requests) {
          assert.equal(piece?.data.length, mib);
          yield {};
        }
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    const piece = { fileHash: Buffer.alloc(32, 1), pieceIndex: 3, data: Buffer.alloc(mib, 7) };
    const encoded = encodeMessage('DistributionPoint', 'putContent', { piece });
    const calls = [channel.duplex('putContent', {}), channel.duplex('putContent', {})];
    for (const call of calls) {
      for (let count = 0; count < 3; count++) {
        await call.write(encoded);
        assert.deepEqual(await call.read(), {});
      }
      call.end();
      assert.equal(await call.read(), undefined);
    }
  });

  it('duplex: a write after the peer ended the call is refused', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', { putContent: () => nothing() });
    const channel = await circle.channel('DistributionPoint', server.address);
    const call = channel.duplex('putContent', {});
    assert.equal(await call.read(), undefined);
    await assert.rejects(call.write({}), { code: 'PEER_FAILED' });
  });

  it('takes the methods of a class', async () => {
    class Answers {
      readonly #dpId = 'PS1DP1';
      async check(): Promise<{ dpId: string }> {
        return { dpId: this.#dpId };
      }
    }
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', new Answers());
    const channel = await circle.channel('DistributionPoint', server.address);
    assert.equal((await channel.unary('check', {}, { deadlineMs })).dpId, 'PS1DP1');
  });

  it('answers many calls at once on one connection', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', {
      check: async ({ dpId }) => ({ dpId }),
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    // More than may be open at once (`streamsMax`): the others wait their turn.
    const names = Array.from({ length: 300 }, (_, index) => `DP${index}`);
    const answers = await Promise.all(
      names.map((dpId) => channel.unary('check', { dpId }, { deadlineMs: 30_000 })),
    );
    assert.deepEqual(
      answers.map(({ dpId }) => dpId),
      names,
    );
  });
});

describe('failures of calls', () => {
  it('come out with the code and facts that the method threw', async () => {
    await using circle = await TrustCircle.create();
    const details = { code: 'CONTENT_INCOMPLETE', packageId: 'PS100001', missingFiles: 3 } as const;
    const fail = () => {
      throw new WaybillError(details);
    };
    const server = await circle.serve('DistributionPoint', {
      commit: async () => fail(),
      inspect: async function* () {
        yield {};
        fail();
      },
      putManifest: async () => fail(),
      putContent: async function* (requests) {
        for await (const _request of requests) yield fail();
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    await assert.rejects(channel.unary('commit', {}, { deadlineMs }), { details });
    await assert.rejects(collected(channel.serverStream('inspect', {}, { deadlineMs })), {
      details,
    });
    await assert.rejects(channel.clientStream('putManifest', nothing(), { deadlineMs }), {
      details,
    });
    const call = channel.duplex('putContent', { deadlineMs });
    await call.write({});
    await assert.rejects(call.read(), { details });
    await assert.rejects(call.write({}), { details });
  });

  it('arrive when the method waits for a message meanwhile, and an answer is still on its way', async () => {
    await using circle = await TrustCircle.create();
    const details = { code: 'CONTENT_INCOMPLETE', packageId: 'PS100001', missingFiles: 3 } as const;
    const server = await circle.serve('DistributionPoint', {
      putContent: async function* (requests) {
        const messages = requests[Symbol.asyncIterator]();
        await messages.next();
        messages.next().catch(() => {});
        yield {};
        throw new WaybillError(details);
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    const call = channel.duplex('putContent', { deadlineMs });
    await call.write({});
    assert.deepEqual(await call.read(), {});
    await assert.rejects(call.read(), { details });
  });

  it('tell nothing of a fault in the method, which is logged where it happened', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', {
      check: async () => {
        throw new TypeError('secret of the server');
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), {
      details: {
        code: 'PEER_FAILED',
        peer: 'DP PS1DP1',
        reason: 'it answered /waybill.v1.DistributionPoint/Check with INTERNAL',
      },
    });
    const line = circle.log.lines.find(({ level }) => level === 50);
    assert.match(JSON.stringify(line), /secret of the server/);
    assert.match(JSON.stringify(line), /calls\.test/, 'the stack is logged');
  });

  it('are PEER_FAILED for a method that the peer does not have', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', { check: async () => ({}) });
    const channel = await circle.channel('DistributionPoint', server.address);
    await assert.rejects(channel.unary('commit', {}, { deadlineMs }), {
      code: 'PEER_FAILED',
      message: /does not know .*Commit/,
    });
  });

  it('are DEADLINE_EXCEEDED after the deadline, and the method is told', async () => {
    await using circle = await TrustCircle.create();
    const told = promised();
    const server = await circle.serve('DistributionPoint', {
      check: async (_request, { signal }) => {
        await aborted(signal);
        told.resolve();
        return {};
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    await channel.whenReachable();
    await assert.rejects(channel.unary('check', {}, { deadlineMs: 50 }), {
      details: {
        code: 'DEADLINE_EXCEEDED',
        peer: 'DP PS1DP1',
        method: '/waybill.v1.DistributionPoint/Check',
        deadlineMs: 50,
      },
    });
    await told.promise;
  });

  it('are an AbortError when the caller aborts, and the method is told', async () => {
    await using circle = await TrustCircle.create();
    const started = promised();
    const told = promised();
    const server = await circle.serve('DistributionPoint', {
      check: async (_request, { signal }) => {
        started.resolve();
        await aborted(signal);
        told.resolve();
        throw new AbortError();
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    const abort = new AbortController();
    const answer = channel.unary('check', {}, { deadlineMs, signal: abort.signal });
    await started.promise;
    abort.abort();
    await assert.rejects(answer, { name: 'AbortError' });
    await told.promise;
    assert.deepEqual(circle.log.messages(40), [], 'nobody is at fault');
  });

  it('of administrators always get a record when nobody knows what they have changed (ADM-5)', async () => {
    await using circle = await TrustCircle.create();
    const begun = promised();
    const server = await circle.serve('Admin', {
      deletePackage: async (_, { signal }) => {
        begun.resolve();
        await aborted(signal);
        throw new AbortError();
      },
      getPackage: async (_, { signal }) => {
        await aborted(signal);
        throw new AbortError();
      },
      resumeJobs: async function* () {
        yield* nothing();
        throw new WaybillError({ code: 'PACKAGE_UNKNOWN', packageId: 'PS100001' });
      },
    });
    const credentials = await circle.credentials(operator);
    const admin = await circle.channel('Admin', server.address, { credentials });
    await assert.rejects(admin.unary('getPackage', {}, { deadlineMs: 50 }));
    await assert.rejects(collected(admin.serverStream('resumeJobs', {}, {})));
    const caller = new AbortController();
    const { signal } = caller;
    const deleting = admin.unary('deletePackage', {}, { deadlineMs, signal });
    await begun.promise;
    caller.abort();
    await assert.rejects(deleting);
    const { result, isOnce } = await circle.audited('/waybill.v1.Admin/DeletePackage');
    assert.deepEqual({ result, isOnce }, { result: 'CANCELLED', isOnce: true });
    const others = circle.audit.filter(({ method }) => !method.endsWith('DeletePackage'));
    assert.deepEqual(
      others.map((one) => one.isOnce),
      others.map(() => undefined),
    );
    assert.ok(others.some(({ method }) => method.endsWith('ResumeJobs')));
  });

  it('are an AbortError at once for a signal that has fired already', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', { check: async () => ({}) });
    const channel = await circle.channel('DistributionPoint', server.address);
    const signal = AbortSignal.abort();
    await assert.rejects(channel.unary('check', {}, { deadlineMs, signal }), {
      name: 'AbortError',
    });
    const call = channel.duplex('putContent', { signal });
    await assert.rejects(call.write({}), { name: 'AbortError' });
    await assert.rejects(call.read(), { name: 'AbortError' });
  });

  it('reach writes that wait and reads that wait when the call is cancelled', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', {
      putContent: async function* (_requests, { signal }) {
        await aborted(signal);
        yield* nothing();
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    const call = channel.duplex('putContent', {});
    const read = assert.rejects(call.read(), { name: 'AbortError' });
    const message = { chunk: Buffer.alloc(mib) };
    const encoded = encodeMessage('DistributionPoint', 'putManifest', message);
    // Nobody reads, so the window closes and one of these waits for ever.
    const writes = Promise.all(Array.from({ length: 40 }, () => call.write(encoded)));
    call.cancel();
    await assert.rejects(writes, { name: 'AbortError' });
    await read;
  });

  it('are MESSAGE_INVALID for a message over the limit, whichever side sends it', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', {
      check: async () => ({ agentVersion: 'x'.repeat(2 * mib) }),
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    const dpId = 'x'.repeat(2 * mib);
    await assert.rejects(channel.unary('check', { dpId }, { deadlineMs }), {
      code: 'MESSAGE_INVALID',
      message: /expected at most 1114112 bytes/,
    });
    // An answer over the limit is a fault of the server.
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), { code: 'PEER_FAILED' });
    assert.match(JSON.stringify(circle.log.lines), /over the limit of 1114112/);
  });
});
