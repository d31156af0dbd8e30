import { assertConfigPage } from '../shared/testing/config-page.ts';
import { dpConfigSchema } from './dp-config.ts';

describe('DP configuration', () => {
  it('is described key by key in docs/configuration.md', async () => {
    await assertConfigPage('waybill-dp', dpConfigSchema);
  });
});
