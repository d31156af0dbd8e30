import { assertConfigPage } from '../shared/testing/config-page.ts';
import { siteConfigSchema } from './site-config.ts';

describe('site configuration', () => {
  it('is described key by key in docs/configuration.md', async () => {
    await assertConfigPage('waybill-site', siteConfigSchema);
  });
});
