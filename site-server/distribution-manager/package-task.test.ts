import assert from 'node:assert/strict';
import type { PackageServer } from '../../shared/domain/site-package.ts';
import { PackageTask } from './package-task.ts';

describe('package task (DM-2)', () => {
  const never = new AbortController().signal;
  const servers = ['PS1DP1', 'PS1DP2'].map((dpId) => ({ dpId }) as PackageServer);

  function newTask(did: string[], siteContentTask?: { run(): Promise<void> }): PackageTask {
    return new PackageTask({
      packages: { serversOf: async () => servers },
      publisher: { publishDue: async () => 'done' as never },
      distributionPointTask: {
        run: async ({ dpId }) => {
          await Promise.resolve();
          did.push(dpId);
        },
      },
      ...(siteContentTask && {
        siteContentTask,
        versionRecorder: {
          record: async () => {
            did.push('recorded');
          },
        },
      }),
      packageEnd: {
        run: async () => {
          did.push('ended');
        },
      },
    });
  }

  it('records the version and sees to other sites when all DPs of this one are seen to (REP-2)', async () => {
    const did: string[] = [];
    const run = async () => {
      did.push('sites');
    };
    await newTask(did, { run }).run('PS100001', never);
    assert.deepEqual(did, [...servers.map(({ dpId }) => dpId), 'recorded', 'sites', 'ended']);
  });

  it('needs no other sites', async () => {
    const did: string[] = [];
    await newTask(did).run('PS100001', never);
    assert.deepEqual(did, [...servers.map(({ dpId }) => dpId), 'ended']);
  });
});
