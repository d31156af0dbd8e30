import assert from 'node:assert/strict';
import { join } from 'node:path';
import { pino } from 'pino';
import { chained } from '../shared/audit-chain/audit-chain.ts';
import type { ChainFinding } from '../shared/audit-chain/chain-check.ts';
import type { AuditRecord } from '../shared/domain/audit-record.ts';
import { joinKey, keySpaces } from '../shared/state-store/key-space.ts';
import { type Change, StateStore } from '../shared/state-store/state-store.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { runWaybill } from './programs.ts';

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1' },
];
const deadlineMs = 10_000;

interface Verified {
  readonly exitCode: number;
  readonly findings: readonly ChainFinding[];
  readonly newestSerial: number;
  readonly comparisons: readonly { toldTo: string; comparedCount: number; failure: string }[];
}

describe('the audit trail of a real site, altered behind its back (ADM-5)', () => {
  let network: HierarchyNetwork;
  /** As they were written. */
  let written: readonly AuditRecord[];

  before(async () => {
    network = await HierarchyNetwork.start({ sites });
    for (const name of ['One', 'Two', 'Three', 'Four', 'Five', 'Six']) {
      const { exitCode, stderr } = await waybill('PS1', `group add ${name}`);
      assert.equal(exitCode, 0, stderr);
    }
    // A crash, and what a site tells when it starts.
    await changed(() => []);
    written = await records();
    await toldUntil(nth(written, -1).serial);
  });

  after(() => network?.stop());

  /** The trail as it was written: what a test has done to it is gone. */
  async function restore(): Promise<void> {
    await changed((all) => [...all.map(({ serial }) => remove(serial)), ...written.map(put)]);
  }

  function waybill(siteCode: string, line: string) {
    return runWaybill({ cliOptions: network.cliOptionsOf(siteCode) }, line.split(' '));
  }

  async function records(): Promise<readonly AuditRecord[]> {
    let found: readonly AuditRecord[] = [];
    await changed((all) => {
      found = all;
      return [];
    });
    return found;
  }

  /** Kills the site, does something to the rows of its trail, and starts it again. */
  async function changed(
    change: (records: readonly AuditRecord[]) => readonly Change[],
  ): Promise<void> {
    const agent = network.agent('PS1');
    await agent.kill();
    const directory = join(network.dataDirectoryOf('PS1'), 'state-store');
    const { store } = await StateStore.open({ directory, logger: pino({ enabled: false }) });
    const all: AuditRecord[] = [];
    for await (const [, record] of store.records(keySpaces.auditRecords).list()) all.push(record);
    await store.write(change(all), { sync: true });
    await store.close();
    await agent.start();
  }

  /** Until the parent has been told of this record, or a later one. */
  async function toldUntil(serial: number): Promise<void> {
    const admin = await network.admin('CS1');
    for (;;) {
      const heads = admin.serverStream('listAuditHeads', { siteCode: 'PS1' }, { deadlineMs });
      for await (const head of heads) if (Number(head.serial) >= serial) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async function verified(siteCode = 'CS1'): Promise<Verified> {
    const { exitCode, stdout, stderr } = await waybill(siteCode, 'audit verify --site PS1 --json');
    assert.notEqual(stdout, '', stderr);
    return { ...JSON.parse(stdout), exitCode };
  }

  const put = (record: AuditRecord): Change => ({
    ...{ type: 'put', space: keySpaces.auditRecords.name, key: joinKey(record.serial) },
    value: record,
  });
  const remove = (serial: number): Change => ({
    ...{ type: 'delete', space: keySpaces.auditRecords.name, key: joinKey(serial) },
  });
  const nth = (all: readonly AuditRecord[], index: number) => all.at(index) ?? assert.fail();

  it('is whole as it was written, over crashes, and compared with what the parent was told', async () => {
    const { exitCode, findings, comparisons } = await verified();
    assert.deepEqual([exitCode, findings], [0, []]);
    assert.deepEqual(
      comparisons.map(({ toldTo, failure }) => [toldTo, failure]),
      [
        ['PS1', ''],
        ['CS1', ''],
      ],
    );
    assert.ok(comparisons.every(({ comparedCount }) => comparedCount > 0));
    const { stdout } = await waybill('PS1', 'audit verify');
    assert.match(stdout, /^The audit trail of site PS1 is whole: /);
  });

  it('shows one by one what was altered, removed and inserted', async () => {
    const third = nth(written, 2);
    await changed(() => [put({ ...third, result: 'PEER_NOT_ALLOWED' })]);
    const altered = { kind: 'altered', serial: third.serial };
    const first = await verified();
    assert.deepEqual([first.exitCode, first.findings], [1, [altered]]);
    const { serial } = nth(written, 4);
    await changed(() => [remove(serial)]);
    const removed = { kind: 'removed', serial, lastSerial: serial };
    assert.deepEqual((await verified()).findings, [altered, removed]);
    // Into the gap somebody puts one of his own, which goes on from the one before it.
    const { previousHash: _, hash: __, ...own } = nth(written, 4);
    const inserted = chained(
      { ...own, caller: 'waybill://admin/full/nobody' },
      nth(written, 3).hash ?? '',
    );
    await changed(() => [put(inserted)]);
    const found = (await verified()).findings;
    assert.deepEqual(found, [altered, { kind: 'altered', serial }], 'it took the place of another');
    await restore();
    assert.deepEqual((await verified()).findings, []);
  });

  it('shows at the parent what was cut off at the end, though the trail goes on', async () => {
    const [last, beforeLast] = [nth(written, -1), nth(written, -2)];
    await changed(() => [remove(last.serial), remove(beforeLast.serial)]);
    assert.equal((await waybill('PS1', 'group add Seven')).exitCode, 0);
    const { exitCode, findings } = await verified();
    assert.equal(exitCode, 1);
    const [finding] = findings;
    assert.deepEqual([finding?.kind, finding?.serial], ['removed', beforeLast.serial]);
    await restore();
  });

  it('shows at the parent that the whole trail was written anew, with hashes that fit', async () => {
    await changed((all) => {
      let hash = nth(all, 0).previousHash ?? '';
      return all.map(({ previousHash: _, hash: __, ...record }) => {
        const next = chained({ ...record, caller: 'waybill://admin/full/nobody' }, hash);
        hash = next.hash;
        return put(next);
      });
    });
    const { exitCode, findings } = await verified();
    assert.equal(exitCode, 1);
    assert.ok(
      findings.some(({ kind }) => kind === 'rewritten'),
      JSON.stringify(findings),
    );
    const text = await waybill('CS1', 'audit verify --site PS1');
    assert.match(text.stdout, /was written anew since .*, when CS1 was told of it/);
  });
});
