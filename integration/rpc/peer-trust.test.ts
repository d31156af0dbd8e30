import assert from 'node:assert/strict';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import { RevocationIndex } from '../../shared/domain/revocation.ts';
import { treeOfPlaces } from '../../shared/domain/site-tree.ts';
import { KnownTrust } from '../../shared/rpc/known-trust.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import {
  credentialsBy,
  newRoot as madeRoot,
  newSiteAuthority,
  type TestCa,
} from './site-authorities.ts';
import { aborted, dp, fullAdmin, otherSite, promised, site, TrustCircle } from './trust-circle.ts';

const deadlineMs = 5_000;
const hourMs = 3_600_000;
const checkMethod = '/waybill.v1.DistributionPoint/Check';

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** What site PS1, below CAS, knows. */
class TestTrust {
  readonly clock = new FakeClock(Date.now());
  readonly #revocations = new RevocationIndex();
  readonly #places = treeOfPlaces([
    { siteCode: 'CAS', parentSiteCode: '' },
    { siteCode: 'PS1', parentSiteCode: 'CAS' },
  ]);
  readonly known = new KnownTrust({
    ...{ clock: this.clock, siteCode: 'PS1', revocations: this.#revocations },
    places: () => this.#places,
  });

  revoke(holder: string, revokedAtMs = Date.now()): void {
    this.#revocations.put({ siteCode: 'CAS', holder, revokedAtMs });
    this.known.changed();
  }
}

/** A call that has begun at a server, and never ends by itself: `ended` when it does there. */
async function servedLongCall(circle: TrustCircle, trust?: TestTrust) {
  const [begun, ended] = [promised(), promised()];
  const server = await circle.serve(
    'DistributionPoint',
    {
      check: async () => ({}),
      putContent: async function* (_requests, { signal }) {
        begun.resolve();
        yield {};
        await aborted(signal);
        ended.resolve();
      },
    },
    trust ? { trust: trust.known } : {},
  );
  return { server, begun: begun.promise, ended: ended.promise };
}

describe('revoked and expired certificates on connections (SEC-3)', () => {
  it('a revoked caller: its open stream is cut at once, and it cannot connect again (F23)', async () => {
    await using circle = await TrustCircle.create();
    const trust = new TestTrust();
    const { server, begun, ended } = await servedLongCall(circle, trust);
    const channel = await circle.channel('DistributionPoint', server.address);
    const call = channel.duplex('putContent', {});
    await begun;
    trust.revoke('site/PS1');
    await ended;
    await assert.rejects(
      async () => {
        while (await call.read());
      },
      { code: 'PEER_UNREACHABLE' },
    );
    const { caller, result, detail } = await circle.audited('connection');
    assert.deepEqual([caller, result], ['waybill://site/PS1', 'CERTIFICATE_REFUSED']);
    assert.match(detail, /^it was revoked at /);
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), {
      code: 'PEER_UNREACHABLE',
      message: /it closed the connection/,
    });
    const again = await circle.audited('tls-handshake');
    assert.deepEqual([again.caller, again.result], ['waybill://site/PS1', 'CERTIFICATE_REFUSED']);
  });

  it('others than the revoked one go on', async () => {
    await using circle = await TrustCircle.create();
    const trust = new TestTrust();
    const { server, begun } = await servedLongCall(circle, trust);
    const channel = await circle.channel('DistributionPoint', server.address);
    const call = channel.duplex('putContent', {});
    await begun;
    trust.revoke('site/PS2');
    await channel.unary('check', {}, { deadlineMs });
    assert.deepEqual(circle.audit, []);
    call.cancel();
  });

  it('a revoked server: the caller cuts the connection, and speaks to it no more', async () => {
    await using circle = await TrustCircle.create();
    const trust = new TestTrust();
    const { server, begun, ended } = await servedLongCall(circle);
    const options = { trust: trust.known };
    const channel = await circle.channel('DistributionPoint', server.address, options);
    const call = channel.duplex('putContent', {});
    await begun;
    trust.revoke('dp/PS1DP1');
    await ended;
    await assert.rejects(
      async () => {
        while (await call.read());
      },
      { code: 'PEER_UNREACHABLE' },
    );
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), {
      code: 'PEER_IDENTITY_MISMATCH',
      message: /waybill:\/\/dp\/PS1DP1, which does not count: it was revoked at/,
    });
  });

  it('a channel that was closed: a call that still runs on it is cut all the same', async () => {
    await using circle = await TrustCircle.create();
    const trust = new TestTrust();
    const { server, begun, ended } = await servedLongCall(circle);
    const options = { trust: trust.known };
    const channel = await circle.channel('DistributionPoint', server.address, options);
    channel.duplex('putContent', {});
    await begun;
    channel.close();
    trust.revoke('dp/PS1DP1');
    await ended;
  });

  it('a certificate that expires on an open connection: the next sweep cuts it', async () => {
    await using circle = await TrustCircle.create();
    const trust = new TestTrust();
    await trust.known.start();
    const { server, begun, ended } = await servedLongCall(circle, trust);
    const channel = await circle.channel('DistributionPoint', server.address);
    channel.duplex('putContent', {});
    await begun;
    await trust.clock.advance(31 * 24 * hourMs);
    await ended;
    assert.match((await circle.audited('connection')).detail, /^it expired at /);
    await trust.known.stop();
  });

  it('a certificate that has expired since the handshake: calls are refused, before any sweep', async () => {
    await using circle = await TrustCircle.create();
    const trust = new TestTrust();
    const { server } = await servedLongCall(circle, trust);
    const channel = await circle.channel('DistributionPoint', server.address);
    await channel.unary('check', {}, { deadlineMs });
    await trust.clock.advance(31 * 24 * hourMs);
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), {
      code: 'CERTIFICATE_REFUSED',
      message: /The certificate of waybill:\/\/site\/PS1 does not count here: it expired at /,
    });
    assert.equal((await circle.audited(checkMethod)).result, 'CERTIFICATE_REFUSED');
  });
});

describe('roots that are not trusted any more (SEC-3)', () => {
  it('take their connections with them, once those who listen look again; the others stay', async () => {
    await using circle = await TrustCircle.create();
    const [oldRoot, newRoot] = [await madeRoot(), await madeRoot()];
    const both = Buffer.from(`${oldRoot.certificate}\n${newRoot.certificate}`);
    const trust = new TestTrust();
    const own = await credentialsBy(newRoot, await newSiteAuthority(newRoot, 'PS1'), dp);
    const live = { ...own, ca: both };
    const ended = new Map<string, () => void>();
    const begun = new Map<string, () => void>();
    const server = await circle.serve(
      'DistributionPoint',
      {
        importPrestaged: async function* (_request, { caller, signal }) {
          const name = caller.identity.kind === 'admin' ? caller.identity.name : '';
          begun.get(name)?.();
          yield {};
          await aborted(signal);
          ended.get(name)?.();
        },
      },
      { trust: trust.known, credentials: live },
    );
    const calls = [];
    for (const [name, root] of [
      ['old', oldRoot],
      ['new', newRoot],
    ] as const) {
      const identity = { kind: 'admin', role: 'full', name } as const;
      const certified = await credentialsBy(root, await newSiteAuthority(root, 'PS1'), identity);
      const credentials = { ...certified, ca: both };
      const channel = await circle.channel('DistributionPoint', server.address, { credentials });
      const [beginning, ending] = [promised(), promised()];
      begun.set(name, beginning.resolve);
      ended.set(name, ending.resolve);
      const call = channel.serverStream('importPrestaged', {}, {});
      await call.next();
      await beginning.promise;
      calls.push({ name, call, ended: ending.promise });
    }
    live.ca = Buffer.from(newRoot.certificate);
    trust.known.changed();
    await calls[0]?.ended;
    const { caller, detail } = await circle.audited('connection');
    assert.equal(caller, 'waybill://admin/full/old');
    assert.equal(detail, 'the root behind it is not trusted any more');
    assert.equal(circle.audit.length, 1);
  });
});

describe('whose word counts where, on connections (SEC-1)', () => {
  let root: TestCa;
  before(async () => {
    root = await madeRoot();
  });

  async function issued(
    siteCode: string,
    identity: PeerIdentity,
    options: { notBeforeMs?: number; authorityFromMs?: number } = {},
  ): Promise<PeerCredentials> {
    const { authorityFromMs: notBeforeMs, ...life } = options;
    const from = notBeforeMs === undefined ? {} : { notBeforeMs };
    return credentialsBy(root, await newSiteAuthority(root, siteCode, from), identity, life);
  }

  /** An agent of site PS1 that trusts this test's root. */
  async function served(circle: TrustCircle, trust: TestTrust, identity: PeerIdentity = dp) {
    return circle.serve(
      'DistributionPoint',
      { check: async () => ({}), listPackages: async function* () {} },
      { trust: trust.known, credentials: await issued('PS1', identity) },
    );
  }

  const callers: readonly [string, PeerIdentity, 'check' | 'listPackages', boolean][] = [
    ['PS1', site, 'check', true],
    ['PS1', fullAdmin, 'listPackages', true],
    ['CAS', fullAdmin, 'listPackages', true],
    ['PS2', fullAdmin, 'listPackages', false],
  ];
  for (const [voucher, identity, method, isHeard] of callers) {
    it(`${isHeard ? 'hears' : 'refuses'} ${identity.kind} by the authority of ${voucher} at ${method}`, async () => {
      await using circle = await TrustCircle.create();
      const server = await served(circle, new TestTrust());
      const credentials = await issued(voucher, identity);
      const channel = await circle.channel('DistributionPoint', server.address, { credentials });
      const call =
        method === 'check'
          ? channel.unary(method, {}, { deadlineMs })
          : collected(channel.serverStream(method, {}, { deadlineMs }));
      if (isHeard) await call;
      else {
        const message = /it was issued by the authority of site PS2, which has no say about it at/;
        await assert.rejects(call, { code: 'CERTIFICATE_REFUSED', message });
      }
    });
  }

  it('a DP that another site vouches for: the site that wants its own does not speak to it', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve(
      'DistributionPoint',
      { check: async () => ({}) },
      { credentials: await issued('PS2', dp) },
    );
    const options = {
      ...{ trust: new TestTrust().known, credentials: await issued('PS1', site) },
      vouchedAs: 'distribution points of this site',
    } as const;
    const channel = await circle.channel('DistributionPoint', server.address, options);
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), {
      code: 'PEER_IDENTITY_MISMATCH',
      message: /waybill:\/\/dp\/PS1DP1, issued by the authority of site PS2/,
    });
    // Content is read of anybody.
    const { vouchedAs: _, ...anybody } = options;
    const reader = await circle.channel('DistributionPoint', server.address, anybody);
    await reader.unary('check', {}, { deadlineMs });
  });

  it('the authority of a revoked site: what it issues afterwards counts for nothing', async () => {
    await using circle = await TrustCircle.create();
    const trust = new TestTrust();
    const server = await served(circle, trust);
    trust.revoke('site/PS2', Date.now() - 2 * hourMs);
    const began = { authorityFromMs: Date.now() - 3 * hourMs, notBeforeMs: Date.now() - hourMs };
    for (const [from, isRefused] of [
      [began, true],
      [{ ...began, authorityFromMs: Date.now() - hourMs }, false],
    ] as const) {
      const credentials = await issued('PS2', otherSite, from);
      const channel = await circle.channel('DistributionPoint', server.address, { credentials });
      const code = isRefused ? 'PEER_UNREACHABLE' : 'PEER_NOT_ALLOWED';
      await assert.rejects(channel.unary('check', {}, { deadlineMs }), { code });
    }
    const refused = await circle.audited('tls-handshake');
    assert.match(refused.detail, /site PS2, whose authority issued it, was revoked/);
  });

  for (const name of ['waybill site authority PS1', 'Waybill  site authority PS1']) {
    it(`whoever is issued by "${name}", which TLS takes for the true name: nobody`, async () => {
      await using circle = await TrustCircle.create();
      const server = await served(circle, new TestTrust());
      const issuer = await madeRoot(name);
      const authority = await newSiteAuthority(root, 'PS1', { key: issuer.key });
      const sent = [authority.certificate];
      for (const identity of [{ kind: 'site', siteCode: 'CAS' }, fullAdmin] as const) {
        const credentials = await credentialsBy(root, issuer, identity, { sent });
        const channel = await circle.channel('DistributionPoint', server.address, { credentials });
        const call = collected(channel.serverStream('listPackages', {}, { deadlineMs }));
        await assert.rejects(call, { code: 'PEER_NOT_ALLOWED' });
      }
    });
  }

  it('an authority that somebody made himself, sent along with the true one: makes him nobody', async () => {
    await using circle = await TrustCircle.create();
    const trust = new TestTrust();
    const server = await served(circle, trust);
    trust.revoke('site/PS1', Date.now() - 2 * hourMs);
    const old = await newSiteAuthority(root, 'PS1', { notBeforeMs: Date.now() - 3 * hourMs });
    // The same name and key, signed by a root of his own: it begins after the revocation.
    const feigned = await newSiteAuthority(await madeRoot(), 'PS1', { key: old.key });
    for (const sent of [
      [feigned.certificate, old.certificate],
      [old.certificate, feigned.certificate],
    ]) {
      const credentials = await credentialsBy(root, old, site, { sent });
      const channel = await circle.channel('DistributionPoint', server.address, { credentials });
      await assert.rejects(channel.unary('check', {}, { deadlineMs }), (error: Error) => {
        assert.match(error.message, /may not call|closed the connection/);
        return true;
      });
    }
  });
});
