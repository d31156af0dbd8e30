import assert from 'node:assert/strict';
import type { Revocation } from '../../shared/domain/revocation.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import { testTree } from '../replication-manager/testing/test-sites.ts';
import { HeardRevocations } from './heard-revocations.ts';

const row = (siteCode: string, holder: string, revokedAtMs: number): Revocation => {
  return { siteCode, holder, revokedAtMs, reason: '', revokedBy: '' };
};

describe('revocations that are heard (SEC-3)', () => {
  it('are shared out site by site: others have their turn in between', async () => {
    const tree = testTree();
    const rows = new Map<string, Revocation>();
    const getMany = async (keys: readonly string[]) => keys.map((key) => rows.get(key));
    const heard = new HeardRevocations(
      {
        store: { records: () => ({ getMany }) } as unknown as Pick<StateStore, 'records'>,
        siteCode: 'CAS',
        sites: { tree, identityOf: () => undefined },
      },
      { branchCountMax: 50, branchesCountMax: 1_000 },
    );
    const codes = Array.from({ length: 50 }, (_, at) => `X${at + 10}`);
    for (const code of codes) {
      for (const at of [1, 2]) {
        const one = row(code, `client/x${at}`, at);
        rows.set(`${code}/${one.holder}`, one);
        heard.put(one);
      }
    }
    let turnCount = 0;
    const counting = { isOver: false };
    const count = () => {
      turnCount += 1;
      if (!counting.isOver) setImmediate(count);
    };
    setImmediate(count);
    const first = await heard.fit();
    counting.isOver = true;
    assert.deepEqual(first, { isOther: true, heardAgain: new Set() });
    assert.ok(turnCount >= codes.length, `${turnCount} turns`);
    assert.ok(codes.every((code) => heard.index.ofSite(code)[0]?.holder === 'client/x2'));
    for (const code of codes.slice(1)) heard.delete({ siteCode: code, holder: 'client/x2' });
    const second = await heard.fit();
    assert.deepEqual(second, { isOther: true, heardAgain: new Set(['client/x1']) });
  });
});
