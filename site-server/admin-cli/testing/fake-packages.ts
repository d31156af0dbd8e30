import type { PackageVersion } from '../../../shared/domain/package.ts';
import type {
  FetchedPackage,
  GetOptions,
  GetRequest,
  PackageAccess,
} from '../package-get/package-access.ts';
import type { LocatedSource, PackageLocation } from '../package-get/package-location.ts';

/** A version of a package of two contents. */
export const aVersion: PackageVersion = {
  packageId: 'PS100001',
  sourceVersion: 3,
  packageHash: 'ab'.repeat(32),
  contents: [1, 2].map((number) => ({
    contentId: `PS100001.3.${number}`,
    contentHash: 'cd'.repeat(32),
    signatureHash: 'ef'.repeat(32),
    manifestBytes: 500,
    signatureBytes: 64,
    entryCount: 8,
    fileCount: 6,
    sizeBytes: 1024 ** 3,
  })),
  properties: {
    name: 'Office 16',
    version: '16.0.2',
    manufacturer: 'Example',
    language: '',
    description: '',
    priority: 2,
    programs: [{ name: 'install', commandLine: 'setup.sh --quiet' }],
    iconName: 'office.png',
    iconBase64: Buffer.alloc(2048).toString('base64'),
  },
};

/** A DP near by. */
export const nearSource: LocatedSource = {
  identity: { kind: 'dp', dpId: 'PS1DP1' },
  address: 'dp1.example.org:8531',
  rank: 1,
  nearness: 'same-network',
};

/** The site server itself. */
export const siteSource: LocatedSource = {
  identity: { kind: 'site', siteCode: 'PS1' },
  address: 'site.example.org:8530',
  rank: 4,
  nearness: 'fallback',
};

/** Where the package of the fakes is. */
export const aLocation: PackageLocation = { version: aVersion, sources: [nearSource, siteSource] };

/** What came of a fetch. */
export const aFetchedPackage: FetchedPackage = {
  packageId: 'PS100001',
  sourceVersion: 3,
  outDirectory: '/home/alice/office',
  fileCount: 12,
  sizeBytes: 2 * 1024 ** 3,
  receivedBytes: 1024 ** 3 + 1024,
  durationMs: 24_345,
  sources: [
    { source: nearSource, receivedBytes: 1024 ** 3 },
    { source: siteSource, receivedBytes: 1024 },
  ],
};

/** The way to content, which does as a test tells it. */
export class FakePackages implements PackageAccess {
  readonly requests: GetRequest[] = [];
  isClosed = false;
  locate: PackageAccess['locate'] = async () => aLocation;
  /** What a fetch does. */
  onGet: (options: GetOptions) => Promise<FetchedPackage> = async () => aFetchedPackage;

  async get(request: GetRequest, options: GetOptions): Promise<FetchedPackage> {
    this.requests.push(request);
    return this.onGet(options);
  }

  close(): void {
    this.isClosed = true;
  }
}
