import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { whereItCounts } from './owner-site.ts';
import type { Session } from './session.ts';

describe('where something is said (ROLE-4)', () => {
  const owner = { name: 'owner' } as unknown as Session;
  const asked: unknown[] = [];
  const connected = {
    atSite: async (siteCode: string | undefined) => {
      asked.push(siteCode);
      return owner;
    },
  } as unknown as Session;
  const refused = new WaybillError({
    ...{ code: 'SITE_HAS_NO_SAY', name: 'PS2DP1', siteCode: 'PS2', askedSiteCode: 'PS1' },
  });

  beforeEach(() => {
    asked.length = 0;
  });

  it('is the connected site where that has its say', async () => {
    assert.equal(await whereItCounts(connected, async (at) => at), connected);
    assert.deepEqual(asked, []);
  });

  it('is the site of the thing where the connected one has none', async () => {
    const said = await whereItCounts(connected, async (at) => {
      if (at === connected) throw refused;
      return at;
    });
    assert.equal(said, owner);
    assert.deepEqual(asked, ['PS2']);
  });

  it('is nowhere else for other refusals, nor after that', async () => {
    const unknown = new WaybillError({ code: 'DISTRIBUTION_POINT_UNKNOWN', dpId: 'PS2DP1' });
    const failing = (error: Error) => whereItCounts(connected, () => Promise.reject(error));
    await assert.rejects(failing(unknown), { code: 'DISTRIBUTION_POINT_UNKNOWN' });
    assert.deepEqual(asked, []);
    await assert.rejects(failing(refused), { code: 'SITE_HAS_NO_SAY' });
    assert.deepEqual(asked, ['PS2']);
  });
});
