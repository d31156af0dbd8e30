import assert from 'node:assert/strict';
import type { CertifiedPeer } from '../../shared/domain/certificate-authority.ts';
import type { ToldBundle } from '../../shared/domain/told-trust.ts';
import type { CallContext } from '../../shared/rpc/conversation.ts';
import type { SetTrustRequest__Output } from '../../shared/rpc/generated/waybill/v1/SetTrustRequest.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { ToldTrustKeeper } from './told-trust.ts';
import { toldTrustConversation } from './told-trust-conversation.ts';

const context = {} as CallContext;
const atMs = Date.UTC(2026, 0, 1);

/** An administrator of the central site, with a certificate that began a day ago. */
const admin: CertifiedPeer = {
  identity: { kind: 'admin', role: 'full', name: 'bob' },
  voucher: { siteCode: 'CAS' },
  ...{ notBeforeMs: atMs - 86_400_000, notAfterMs: atMs + 86_400_000, vouchedFromMs: 1 },
};

interface Said {
  readonly revocationCount?: number;
  readonly sites?: readonly (readonly [string, string])[];
  readonly bundle?: { readonly generation: string; readonly bundle: Buffer };
}

type Part = SetTrustRequest__Output;

function header({ revocationCount = 0, sites = [], bundle }: Said = {}): Part {
  const places = sites.map(([siteCode, parentSiteCode]) => ({ siteCode, parentSiteCode }));
  return {
    header: { revocationCount, sites: places, bundle: bundle ?? null },
    revocations: [],
  } as unknown as Part;
}

function revoked(
  holder: string,
  revokedAtMs = `${atMs}`,
  siteCode = 'CAS',
): Part['revocations'][0] {
  return { holder, revokedAtMs, siteCode } as Part['revocations'][0];
}

const part = (...revocations: Part['revocations']): Part => ({ header: null, revocations });
const places = [
  ['CAS', ''],
  ['PS1', 'CAS'],
] as const;

describe('told trust (SEC-3)', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let told: ToldTrustKeeper;
  let bundles: ToldBundle[];
  let isAnew = false;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    await restart();
  });
  afterEach(async () => {
    await told.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  async function restart(): Promise<void> {
    await told?.stop();
    bundles = [];
    const { logger } = new CapturedLog();
    const onBundle = (bundle: ToldBundle) => bundles.push(bundle);
    const isBundleKept = ({ base64 }: ToldBundle) => base64 !== 'anVuaw==';
    const anew = {
      isSaid: async () => isAnew,
      forget: async () => {
        isAnew = false;
      },
    };
    const clock = new FakeClock(atMs);
    const needs = { store, clock, siteCode: 'PS1', logger, isBundleKept, onBundle, anew };
    told = new ToldTrustKeeper(needs);
    await told.start();
  }

  function say(...parts: Part[]): Promise<object> {
    async function* requests() {
      yield* parts;
    }
    return toldTrustConversation(told).setTrust(requests(), context);
  }

  const isOut = () => told.trust.refusalOf(admin) !== undefined;
  const isHeard = () => told.trust.isVouchedHere(admin, 'administrators');

  it('hears nobody but its own site, until it has been told which sites are above', async () => {
    assert.equal(isHeard(), false);
    await say(header({ sites: places }));
    assert.equal(isHeard(), true);
    await restart();
    assert.equal(isHeard(), true);
  });

  it('is obeyed at once, and after a restart while the site is away', async () => {
    let toldCount = 0;
    told.trust.onChange(() => toldCount++);
    await say(
      header({ revocationCount: 2, sites: places }),
      part(revoked('admin/bob')),
      part(revoked('dp/A')),
    );
    assert.equal(toldCount, 1);
    assert.equal(isOut(), true);
    await restart();
    assert.equal(isOut(), true);
  });

  it('takes no revocation back', async () => {
    const one = header({ revocationCount: 1, sites: places });
    await say(one, part(revoked('admin/bob')));
    await say(one, part(revoked('admin/bob', '1')));
    await say(header({ sites: places }));
    assert.equal(isOut(), true);
  });

  it('forgets it all when the machine was enrolled anew, and once only', async () => {
    const one = header({ revocationCount: 1, sites: places });
    await say(one, part(revoked('admin/bob')));
    isAnew = true;
    await restart();
    assert.deepEqual([isOut(), isHeard(), isAnew], [false, false, false]);
    await say(one, part(revoked('admin/bob')));
    await restart();
    assert.equal(isOut(), true);
  });

  it('takes no revocation from the future, and all else that is said with it', async () => {
    const bob = revoked('admin/bob', `${atMs + 600_001}`);
    const said = [header({ revocationCount: 2, sites: places }), part(bob, revoked('site/CAS'))];
    await assert.rejects(say(...said), { code: 'MESSAGE_INVALID', message: /^revoked_at_ms:/ });
    assert.equal(isHeard(), true);
    assert.equal(isOut(), true, 'by its site');
    await restart();
    const later = { ...admin, notBeforeMs: atMs + 1, vouchedFromMs: atMs + 1 };
    assert.equal(told.trust.refusalOf(later), undefined);
    const soon = revoked('admin/bob', `${atMs + 600_000}`);
    await say(header({ revocationCount: 1, sites: places }), part(soon));
    assert.equal(isOut(), true);
  });

  it('hands on the last bundle each time, and at the start', async () => {
    const first = { generation: '2', bundle: Buffer.from('b') };
    await say(header({ bundle: first }));
    await say(header());
    const kept = { generation: 2, base64: 'Yg==' };
    assert.deepEqual(bundles, [kept, kept]);
    await restart();
    assert.deepEqual(bundles, [kept]);
  });

  it('keeps no bundle that does not count, whatever number it gives itself', async () => {
    const junk = { generation: `${Number.MAX_SAFE_INTEGER}`, bundle: Buffer.from('junk') };
    await say(header({ bundle: junk }));
    await restart();
    assert.deepEqual(bundles, []);
    await say(header({ bundle: { generation: '2', bundle: Buffer.from('b') } }));
    assert.deepEqual(bundles, [{ generation: 2, base64: 'Yg==' }]);
  });

  const refused: readonly [string, Part[], RegExp][] = [
    ['nothing', [], /^header: expected one, in the first part, got none/],
    ['revocations without a header', [part(revoked('dp/A'))], /^header:/],
    ['two headers', [header(), header()], /^header: .* got another one/],
    [
      'a call that broke off',
      [header({ revocationCount: 2 }), part(revoked('dp/A'))],
      /expected 2, got 1/,
    ],
    ['more than it said', [header(), part(revoked('dp/A'))], /^revocations: expected 0, got more/],
    [
      'too many',
      [header({ revocationCount: 50_001 })],
      /^revocation_count: expected at most 50000/,
    ],
    ['no holder', [header({ revocationCount: 1 }), part(revoked('king/arthur'))], /^holder:/],
    ['no site', [header({ revocationCount: 1 }), part(revoked('dp/A', '1', 'x'))], /^site_code:/],
    ['no time', [header({ revocationCount: 1 }), part(revoked('dp/A', '9e15'))], /^revoked_at_ms:/],
    ['a parent that is none', [header({ sites: [['PS1', '../']] })], /^parent_site_code:/],
    [
      'too many sites',
      [header({ sites: Array.from({ length: 501 }, () => ['PS1', ''] as const) })],
      /^sites:/,
    ],
    [
      'no bundle',
      [header({ bundle: { generation: '1', bundle: Buffer.alloc(0) } })],
      /^bundle\.bundle/,
    ],
    [
      'a long bundle',
      [header({ bundle: { generation: '1', bundle: Buffer.alloc(65_537) } })],
      /^bundle\.bundle/,
    ],
    [
      'no generation',
      [header({ bundle: { generation: '0', bundle: Buffer.from('b') } })],
      /^bundle\.generation/,
    ],
  ];
  for (const [name, parts, message] of refused) {
    it(`refuses ${name}, and keeps what it had`, async () => {
      await say(header({ revocationCount: 1, sites: places }), part(revoked('admin/bob')));
      await assert.rejects(say(...parts), { code: 'MESSAGE_INVALID', message });
      assert.deepEqual([isOut(), isHeard()], [true, true]);
    });
  }
});
