import assert from 'node:assert/strict';
import {
  type IssuedCertificate,
  issueRoot,
  issueSiteAuthority,
} from '../../shared/certificates/certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from '../../shared/certificates/certificate-requests.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { SiteAuthorityRows } from './site-authority-rows.ts';

const dayMs = 86_400_000;
const nowMs = Date.UTC(2026, 5, 1);
const notAfter = new Date(nowMs + 700 * dayMs);

describe('rows of "site authorities" from other sites', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let root: IssuedCertificate;
  let rows: SiteAuthorityRows;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    root = await issueRoot({ name: 'root', notBefore: new Date(nowMs - 900 * dayMs), notAfter });
    await restart();
  });
  afterEach(async () => {
    await rows.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  async function restart(): Promise<void> {
    await rows?.stop();
    const trustedRoots = { held: { generation: 1, roots: [root.certificate] } };
    rows = new SiteAuthorityRows({ store, trustedRoots, clock: new FakeClock(nowMs) });
    await rows.start();
  }

  async function rowOf(siteCode: string, beginsMs: number, issuer = root) {
    const publicKey = publicKeyInfoOf(await newPrivateKey());
    const facts = { siteCode, publicKey, notBefore: new Date(beginsMs), notAfter };
    return { siteCode, certificate: await issueSiteAuthority(issuer, facts) };
  }

  const hold = async (row: { siteCode: string; certificate: string }) =>
    store.write([store.records(keySpaces.siteAuthorities).put('PS1', row)], { sync: true });

  it('are refused when they hold no authority of that site', async () => {
    const own = await rowOf('PS1', nowMs - dayMs);
    assert.equal(rows.checkRow('PS1', own), undefined);
    for (const certificate of [(await rowOf('PS2', nowMs)).certificate, 'junk', root.certificate]) {
      assert.match(rows.checkRow('PS1', { siteCode: 'PS1', certificate }) ?? '', /of site PS1$/);
    }
  });

  it('are passed over when what is here counts and began later, also after a restart', async () => {
    const [older, newer] = [
      await rowOf('PS1', nowMs - 9 * dayMs),
      await rowOf('PS1', nowMs - dayMs),
    ];
    assert.equal(rows.isRollback('PS1', older), false);
    await hold(newer);
    for (const what of ['written', 'read']) {
      assert.equal(rows.isRollback('PS1', older), true, what);
      assert.equal(rows.isRollback('PS1', newer), false, what);
      assert.equal(rows.isRollback('PS1', undefined), true, what);
      await restart();
    }
  });

  it('follow what counts for nothing, whenever that began', async () => {
    const own = await rowOf('PS1', nowMs - dayMs);
    const foreign = await issueRoot({ name: 'foreign', notBefore: new Date(0), notAfter });
    for (const before of [await rowOf('PS1', nowMs, foreign), await rowOf('PS1', nowMs + dayMs)]) {
      await hold(before);
      assert.equal(rows.isRollback('PS1', own), false);
    }
  });
});
