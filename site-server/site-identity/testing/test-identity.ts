import type { SiteIdentity } from '../../../shared/domain/site.ts';
import type { PeerCredentials } from '../../../shared/rpc/peer-credentials.ts';
import type { Clock } from '../../../shared/runtime/clock.ts';
import { TestAuthority } from '../../../shared/site-identity/testing/test-authority.ts';
import { keySpaces } from '../../../shared/state-store/key-space.ts';
import { StateStore } from '../../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../../shared/testing/captured-log.ts';
import { TemporaryDirectory } from '../../../shared/testing/temporary-directory.ts';
import { type OwnSite, SiteDirectory } from '../../hierarchy-manager/site-directory.ts';
import { type SiteIdentityComponents, SiteIdentityKeeper } from '../site-identity-keeper.ts';

/** How the site of a test is. */
export interface TestIdentityOptions {
  readonly siteCode: string;
  readonly clock: Clock;
  readonly authority?: TestAuthority;
  readonly credentials?: PeerCredentials;
  readonly trust?: SiteIdentityComponents['trust'];
  /** Where keys and store are; kept after the test's site, when given. */
  readonly directory?: TemporaryDirectory;
}

/** A site with its keys, its row, and what it knows of others. */
export class TestIdentity implements AsyncDisposable {
  readonly siteCode: string;
  readonly keeper: SiteIdentityKeeper;
  readonly store: StateStore;
  readonly directory: SiteDirectory;
  readonly place: TemporaryDirectory;
  readonly log: CapturedLog;
  readonly #ownsPlace: boolean;

  private constructor(parts: {
    siteCode: string;
    keeper: SiteIdentityKeeper;
    store: StateStore;
    directory: SiteDirectory;
    place: TemporaryDirectory;
    log: CapturedLog;
    ownsPlace: boolean;
  }) {
    const { siteCode, keeper, store, directory, place, log, ownsPlace } = parts;
    this.siteCode = siteCode;
    this.keeper = keeper;
    this.store = store;
    this.directory = directory;
    this.place = place;
    this.log = log;
    this.#ownsPlace = ownsPlace;
  }

  static async open(options: TestIdentityOptions): Promise<TestIdentity> {
    const { siteCode, clock } = options;
    const place = options.directory ?? (await TemporaryDirectory.create());
    const log = new CapturedLog();
    const { store } = await StateStore.open({ directory: place.join('db'), logger: log.logger });
    const own: OwnSite = { siteCode, kind: 'primary' };
    const directory = new SiteDirectory({ store, own });
    await directory.start();
    const authority = options.authority ?? (await TestAuthority.create(clock.nowMs()));
    const keeper = await SiteIdentityKeeper.open(
      {
        store,
        directory,
        credentials: options.credentials ?? (await authority.credentials(siteCode)),
        siteAddress: () => `${siteCode.toLowerCase()}.test:8530`,
        agentVersion: '1.0.0',
        clock,
        logger: log.logger,
        ...(options.trust && { trust: options.trust }),
      },
      { siteCode, keyDirectory: place.join('signing-keys'), retiredKeyMs: 30 * 86_400_000 },
    );
    await keeper.start();
    const ownsPlace = options.directory === undefined;
    return new TestIdentity({ siteCode, keeper, store, directory, place, log, ownsPlace });
  }

  /** What the site says of itself. */
  async row(): Promise<SiteIdentity> {
    const row = await this.store.records(keySpaces.siteIdentities).get(this.siteCode);
    if (!row) throw new Error('The site has said nothing of itself');
    return row;
  }

  /** Another site becomes known here, as if its rows had come. */
  async learn(siteCode: string, row: SiteIdentity, parentSiteCode = this.siteCode): Promise<void> {
    const { store } = this;
    const site = {
      siteCode,
      kind: 'secondary',
      parentSiteCode,
      address: '',
      description: '',
    } as const;
    await store.write(
      [
        store.records(keySpaces.sites).put(siteCode, site),
        store.records(keySpaces.siteIdentities).put(siteCode, row),
      ],
      { sync: false },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.keeper.stop();
    await this.directory.stop();
    await this.store.close();
    if (this.#ownsPlace) await this.place[Symbol.asyncDispose]();
  }
}
