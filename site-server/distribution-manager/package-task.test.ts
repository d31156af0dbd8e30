import assert from 'node:assert/strict';
import type { PackageServer } from '../../shared/domain/site-package.ts';
import { PackageTask } from './package-task.ts';
import { KeptContents } from './version-recorder.ts';

describe('package task (DM-2)', () => {
  const never = new AbortController().signal;
  const servers = ['PS1DP1', 'PS1DP2'].map((dpId) => ({ dpId }) as PackageServer);

  function newTask(did: string[], siteContentTask?: { run(): Promise<void> }): PackageTask {
    return new PackageTask({
      packages: { serversOf: async () => servers },
      publisher: {
        publishDue: async () => {
          did.push('published');
          return 'done' as never;
        },
      },
      distributionPointTask: {
        run: async ({ dpId }) => {
          await Promise.resolve();
          did.push(dpId);
        },
      },
      ...(siteContentTask && {
        siteContentTask,
        versionRecorder: {
          keep: async () => {
            did.push('kept');
            return new KeptContents([]);
          },
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
    const dpIds = servers.map(({ dpId }) => dpId);
    assert.deepEqual(did, ['kept', 'published', ...dpIds, 'recorded', 'sites', 'ended']);
  });

  it('needs no other sites', async () => {
    const did: string[] = [];
    await newTask(did).run('PS100001', never);
    assert.deepEqual(did, ['published', ...servers.map(({ dpId }) => dpId), 'ended']);
  });
});
