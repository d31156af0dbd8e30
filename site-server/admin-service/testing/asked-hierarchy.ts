import type { CallContext, Conversation } from '../../../shared/rpc/conversation.ts';
import { TemporaryDirectory } from '../../../shared/testing/temporary-directory.ts';
import { TestHierarchy } from '../../distribution-manager/testing/test-hierarchy.ts';
import type { TestSite } from '../../distribution-manager/testing/test-site.ts';
import type { OwnSite } from '../../hierarchy-manager/site-directory.ts';
import { conversationOf } from './admin-conversation.ts';

const parent = { siteCode: 'CS1', address: 'CS1:8530' };
const sites: readonly OwnSite[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent },
  { siteCode: 'PS2', kind: 'primary', parent },
];

/** What asks for the status of everything, everywhere. */
export const everything = {
  ...{ packageId: '', dpId: '', failedOnly: false, siteCode: '', groupName: '' },
};

/**
 * CS1 over PS1 with PS1DP1 and PS2 with PS2DP1, a package of CS1, and an administrator with full rights
 * who asks CS1 and PS1.
 */
export class AskedHierarchy implements AsyncDisposable {
  readonly hierarchy: TestHierarchy;
  readonly directory: TemporaryDirectory;
  readonly atTop: Conversation<'Admin'>;
  readonly atPs1: Conversation<'Admin'>;
  readonly context: CallContext;
  readonly packageId: string;
  readonly #controller = new AbortController();

  private constructor(
    hierarchy: TestHierarchy,
    directory: TemporaryDirectory,
    asked: Pick<AskedHierarchy, 'atTop' | 'atPs1' | 'packageId'>,
  ) {
    this.hierarchy = hierarchy;
    this.directory = directory;
    this.atTop = asked.atTop;
    this.atPs1 = asked.atPs1;
    this.packageId = asked.packageId;
    const identity = { kind: 'admin', role: 'full', name: 'alice' } as const;
    this.context = { caller: { identity, address: '::1' }, signal: this.#controller.signal };
  }

  static async open(): Promise<AskedHierarchy> {
    const hierarchy = await TestHierarchy.open(sites);
    const directory = await TemporaryDirectory.create();
    const [cs1, ps1] = [hierarchy.of('CS1').site, hierarchy.of('PS1').site];
    const atTop = await conversationOf(cs1, directory);
    const atPs1 = await conversationOf(ps1, directory);
    await ps1.addDistributionPoint('PS1DP1');
    await hierarchy.of('PS2').site.addDistributionPoint('PS2DP1');
    const packageId = await cs1.createPackage('v1');
    await hierarchy.rest();
    return new AskedHierarchy(hierarchy, directory, { atTop, atPs1, packageId });
  }

  get cs1(): TestSite {
    return this.hierarchy.of('CS1').site;
  }

  get ps1(): TestSite {
    return this.hierarchy.of('PS1').site;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort();
    await this.hierarchy[Symbol.asyncDispose]();
    await this.directory[Symbol.asyncDispose]();
  }
}
