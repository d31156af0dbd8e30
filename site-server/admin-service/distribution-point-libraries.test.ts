import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { KeyedTurns } from '../../shared/runtime/keyed-turns.ts';
import type { DistributionPointChannel } from '../distribution-point-connections/distribution-point-connections.ts';
import {
  DistributionPointLibraries,
  type DistributionPointLibrariesComponents,
} from './distribution-point-libraries.ts';

const found = { orphanFiles: 0, orphanBytes: 0 };
const context = {
  caller: { identity: { kind: 'admin', role: 'full', name: 'alice' }, address: '::1' },
  signal: new AbortController().signal,
} as const;

describe('sweep of a DP of what nobody assigned to it', () => {
  let turns: KeyedTurns;
  /** Packages that are assigned, and what the DP was asked to remove. */
  let assigned: Set<string>;
  let removals: { packageId: string; jobSerial: number }[];
  let onRemove: (packageId: string) => Promise<void>;
  let libraries: DistributionPointLibraries;

  beforeEach(() => {
    turns = new KeyedTurns();
    assigned = new Set();
    removals = [];
    onRemove = async () => {};
    let serial = 6;
    const components = {
      store: { write: async () => {} },
      packages: {
        getServer: async (packageId: string) => (assigned.has(packageId) ? {} : undefined),
        turn: (packageId: string, work: () => Promise<unknown>) => turns.run(packageId, work),
      },
      connections: { channelTo: () => channel },
      jobSerials: { next: () => ({ value: ++serial, change: {} }) },
      hierarchy: {
        get: async () => ({}),
        requireAnywhere: async () => ({ dpId: 'PS1DP1', siteCode: 'PS1' }),
      },
      hierarchyPackages: { siteCode: 'PS1' },
    };
    libraries = new DistributionPointLibraries(
      components as unknown as DistributionPointLibrariesComponents,
    );
  });

  const channel = {
    async *serverStream() {
      for (const packageId of ['PS100001', 'PS100002']) yield { packageId };
    },
    async unary(method: string, request: { action: { packageId: string; jobSerial: number } }) {
      if (method !== 'removePackage') return found;
      removals.push(request.action);
      await onRemove(request.action.packageId);
      return {};
    },
  } as unknown as DistributionPointChannel;

  const sweep = () =>
    libraries
      .methods()
      .sweepDistributionPoint({ dpId: 'PS1DP1', dryRun: false, unassignedPackages: true }, context);

  it('keeps nobody waiting for the package while the DP takes its time', async () => {
    onRemove = (packageId) => turns.run(packageId, async () => {});
    const { removedPackages } = await sweep();
    assert.deepEqual(removedPackages, ['PS100001', 'PS100002']);
    assert.deepEqual(removals, [
      { packageId: 'PS100001', jobSerial: 7 },
      { packageId: 'PS100002', jobSerial: 8 },
    ]);
  });

  it('leaves a package that is assigned meanwhile, and goes on with the others', async () => {
    onRemove = async (packageId) => {
      if (packageId !== 'PS100001') return;
      const facts = { packageId, jobSerial: 7, newestJobSerial: 9 };
      throw new WaybillError({ code: 'ACTION_SUPERSEDED', ...facts });
    };
    assert.deepEqual((await sweep()).removedPackages, ['PS100002']);
  });

  it('does not ask for one that was assigned before its turn came', async () => {
    onRemove = async () => void assigned.add('PS100002');
    assert.deepEqual((await sweep()).removedPackages, ['PS100001']);
    assert.equal(removals.length, 1);
  });

  it('passes on what else the DP says', async () => {
    onRemove = async () => {
      throw new WaybillError({ code: 'PEER_FAILED', peer: 'PS1DP1', reason: 'test' });
    };
    await assert.rejects(sweep(), /PS1DP1/);
  });
});
