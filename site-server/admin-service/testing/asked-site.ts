import type { CallContext, Conversation } from '../../../shared/rpc/conversation.ts';
import type { PackageProperties__Output } from '../../../shared/rpc/generated/waybill/v1/PackageProperties.ts';
import { TemporaryDirectory } from '../../../shared/testing/temporary-directory.ts';
import {
  openTestMachine,
  type TestMachine,
  TestSite,
} from '../../distribution-manager/testing/test-site.ts';
import { conversationOf } from './admin-conversation.ts';

/** Of the packages that are created here. */
export const testProperties: PackageProperties__Output = {
  name: 'Dummy1',
  version: '',
  manufacturer: '',
  language: '',
  description: '',
  priority: 'PRIORITY_NORMAL',
  programs: [],
  iconName: 'i.ico',
  icon: Buffer.from('icon'),
};

export const noControls = { controls: null, serveControls: null, validation: null };

/** A site, a source of packages on its disk, and an administrator with full rights who asks it. */
export class AskedSite implements AsyncDisposable {
  readonly machine: TestMachine;
  readonly source: TemporaryDirectory;
  readonly context: CallContext;
  site: TestSite;
  admin: Conversation<'Admin'>;
  readonly #controller: AbortController;

  private constructor(
    machine: TestMachine,
    source: TemporaryDirectory,
    asked: { readonly site: TestSite; readonly admin: Conversation<'Admin'> },
  ) {
    this.machine = machine;
    this.source = source;
    this.site = asked.site;
    this.admin = asked.admin;
    this.#controller = new AbortController();
    const identity = { kind: 'admin', role: 'full', name: 'alice' } as const;
    this.context = { caller: { identity, address: '::1' }, signal: this.#controller.signal };
  }

  static async open(): Promise<AskedSite> {
    const machine = await openTestMachine();
    const site = await TestSite.start(machine);
    const source = await TemporaryDirectory.create();
    machine.sources.directories.set(source.path, 'v1');
    const admin = await conversationOf(site, source);
    return new AskedSite(machine, source, { site, admin });
  }

  async restart(): Promise<void> {
    await this.site[Symbol.asyncDispose]();
    this.site = await TestSite.start(this.machine);
    this.admin = await conversationOf(this.site, this.source);
  }

  /** The administrator goes, in the middle of what he asked. */
  leave(): void {
    this.#controller.abort();
  }

  /** A package of the source. @returns its ID */
  async create(): Promise<string> {
    const request = { properties: testProperties, sourceDirectories: [this.source.path] };
    const { packageId = '' } = await this.admin.createPackage(request, this.context);
    return packageId;
  }

  async addDistributionPoint(dpId: string): Promise<void> {
    const settings = { dpId, address: `${dpId}:8531`, siteCode: '', ...noControls };
    const kind = 'DISTRIBUTION_POINT_KIND_UNSPECIFIED';
    await this.admin.addDistributionPoint({ ...settings, kind, pull: null }, this.context);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.leave();
    await this.site[Symbol.asyncDispose]();
    await this.machine[Symbol.asyncDispose]();
    await this.source[Symbol.asyncDispose]();
  }
}
