import assert from 'node:assert/strict';
import type { PackageServer } from '../../shared/domain/site-package.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import type { PackageStore } from './package-store.ts';
import { PackageTask } from './package-task.ts';

describe('package task (DM-2)', () => {
  const never = new AbortController().signal;
  const servers = ['PS1DP1', 'PS1DP2'].map((dpId) => ({ dpId }) as PackageServer);

  function newTask(did: string[], siteContentTask?: { run(): Promise<void> }): PackageTask {
    const packages = { serversOf: async () => servers, packages: { get: async () => undefined } };
    return new PackageTask({
      store: { write: async () => {} },
      packages: packages as unknown as PackageStore,
      publisher: { publishDue: async () => 'done' as never },
      distributionPointTask: {
        run: async ({ dpId }) => {
          await Promise.resolve();
          did.push(dpId);
        },
      },
      ...(siteContentTask && { siteContentTask }),
      contentMap: { allGone: async () => [] },
      library: { removePackage: async () => {} },
      logger: new CapturedLog().logger,
    });
  }

  it('sees to other sites when all DPs of this one are seen to (REP-2)', async () => {
    const did: string[] = [];
    const run = async () => {
      did.push('sites');
    };
    await newTask(did, { run }).run('PS100001', never);
    assert.deepEqual(did, [...servers.map(({ dpId }) => dpId), 'sites']);
  });

  it('needs no other sites', async () => {
    const did: string[] = [];
    await newTask(did).run('PS100001', never);
    assert.equal(did.length, 2);
  });
});
