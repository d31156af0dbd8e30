import type { PackageStatus } from '../../../shared/domain/package-status.ts';
import type { SitePackage } from '../../../shared/domain/site-package.ts';
import { joinKey, keySpaces } from '../../../shared/state-store/key-space.ts';
import type { Change } from '../../../shared/state-store/state-store.ts';
import type { SeededRandom } from '../../../shared/testing/seeded-random.ts';
import type { TestSite } from './test-hierarchy.ts';

export function testPackage(packageId: string, name: string): SitePackage {
  const texts = { version: '1', manufacturer: '', language: '', description: '' };
  const icon = { iconName: '', iconBase64: '' };
  return {
    ...{ packageId, sourceSiteCode: packageId.slice(0, 3), sources: [], sourceVersion: 1 },
    properties: { name, ...texts, priority: 2, programs: [], ...icon },
    ...{ packageHash: '', state: 'published', reason: '', acceptedRequestCount: 1 },
    ...{ handledRequestCount: 1, sourceUnchanged: false, createdAtMs: 1, updatedAtMs: 1 },
  };
}

export function testStatus(packageId: string, dpId: string, version: number): PackageStatus {
  return {
    ...{ packageId, dpId, state: 'installed', installedVersion: version, targetVersion: version },
    ...{ reason: '', changedAtMs: version, jobSerial: 1, verifiedHash: '' },
  };
}

/** What the directories and programs of a package that a site names tell of it. */
export function sayerOf(word: string): string {
  return word.slice(0, 3);
}

/**
 * What one component of a site, or an administrator there, writes, and what only a site in the wrong hands
 * does; none of it the same twice.
 */
export async function randomEdit(
  random: SeededRandom,
  site: TestSite,
  codes: readonly string[],
): Promise<Change[]> {
  const { store, code } = site;
  const serial = random.below(1e9);
  const packageId = `${random.pick(codes)}0000${random.below(3)}`;
  const ownPackageId = `${code}0000${random.below(3)}`;
  const place = random.below(3);
  const dpId = `DP${place}`;
  const { own, tree } = site.directory;
  // Who has no say in what something is says it now and then all the same; else only what it is set to.
  const hasSay = (owner: string) => !own.parent || tree.isUnder(owner, code);
  const isSaying = (owner: string) => hasSay(owner) || random.below(4) === 0;
  const isDeletion = random.below(4) === 0;
  const change = <V>(space: Parameters<typeof store.records<V>>[0], key: string, value: V) =>
    isDeletion ? store.records(space).delete(key) : store.records(space).put(key, value);
  const pointSite = codes[place % codes.length] ?? code;
  const pointRows = store.records(keySpaces.hierarchyDistributionPoints);
  const standingPoint = await pointRows.get(dpId);
  const definitionRows = store.records(keySpaces.packageDefinitions);
  const standingDefinition = await definitionRows.get(packageId);
  const description = `${serial}`;
  const { properties } = testPackage(packageId, description);
  const content = { storedHash: '', reason: '', refusedJobId: '', needsFull: false };
  const edits = [
    () => {
      const facts = { dpId, kind: 'standard', description } as const;
      const said = { address: `${code}:${1 + random.below(9)}`, siteCode: pointSite };
      if (isSaying(standingPoint?.siteCode ?? pointSite)) {
        const siteCode = hasSay(pointSite) ? pointSite : code;
        return change(keySpaces.hierarchyDistributionPoints, dpId, { ...facts, ...said, siteCode });
      }
      const { address, siteCode } = standingPoint ?? said;
      return pointRows.put(dpId, { ...facts, address, siteCode });
    },
    () => {
      const sourceSiteCode = packageId.slice(0, 3);
      const facts = { packageId, sourceSiteCode };
      if (isSaying(sourceSiteCode)) {
        const programs = [{ name: 'Install', commandLine: `${code} ${serial}` }];
        return change(keySpaces.packageDefinitions, packageId, {
          ...{ ...facts, properties: { ...properties, programs } },
          directories: [`${code} ${serial}`],
        });
      }
      const programs = standingDefinition?.properties.programs ?? [];
      const directories = standingDefinition?.directories ?? [];
      const set = { ...facts, properties: { ...properties, programs }, directories };
      return definitionRows.put(packageId, set);
    },
    () =>
      change(keySpaces.packageAssignments, joinKey(packageId, dpId), {
        ...{ packageId, dpId, siteCode: code, intent: 'installed', action: 'add' },
        ...{ wishId: description, wishedAtMs: 1 },
      }),
    () =>
      change(keySpaces.groupMembers, joinKey('Offices', dpId), {
        ...{ groupName: 'Offices', dpId, joinedAtMs: serial, leftAtMs: 0, isDropping: false },
      }),
    () =>
      change(keySpaces.componentSettings, joinKey(code, 'packages-at-once'), {
        ...{ siteCode: code, settingName: 'packages-at-once', value: serial },
      }),
    () =>
      change(keySpaces.groupAssignments, joinKey(packageId, 'Offices'), {
        ...{ groupName: 'Offices', packageId, intent: 'removed', saidAtMs: serial, sinceMs: 0 },
      }),
    () => {
      const requests = { packageId, siteCode: code, updateCount: serial, isDeletion: false };
      return change(keySpaces.packageRequests, joinKey(packageId, code), requests);
    },
    () => {
      const revocation = { siteCode: code, holder: `dp/${dpId}`, revokedAtMs: serial };
      const why = { reason: description, revokedBy: 'waybill://admin/full/alice' };
      const rows = store.records(keySpaces.revocations);
      return rows.put(joinKey(code, 'dp', dpId), { ...revocation, ...why });
    },
    () => change(keySpaces.packages, ownPackageId, testPackage(ownPackageId, description)),
    () =>
      change(
        keySpaces.packageStatus,
        joinKey(packageId, dpId),
        testStatus(packageId, dpId, serial),
      ),
    () =>
      change(keySpaces.siteContents, joinKey(packageId, code), {
        ...{ packageId, siteCode: code, state: 'stored', storedVersion: serial, ...content },
        changedAtMs: 1,
      }),
    () => {
      const finalSiteCode = random.pick(codes);
      return change(keySpaces.forwardingFailures, joinKey(packageId, code, finalSiteCode), {
        ...{ packageId, siteCode: code, finalSiteCode, jobId: description, mayRepeat: true },
        ...{ reason: '', failedAtMs: serial },
      });
    },
    () => {
      const other = random.pick(codes);
      const addresses = [`h${serial}:1`, `${other}:1`];
      return change(keySpaces.routes, joinKey(code, other), {
        ...{ fromSiteCode: code, toSiteCode: other, addresses },
      });
    },
  ];
  const edited = site.directory.tree.get(random.pick(codes));
  // What a site is, is said above it.
  const isAbove =
    edited && (edited.siteCode === code ? !own.parent : tree.isUnder(edited.siteCode, code));
  if (isAbove) {
    const sites = store.records(keySpaces.sites);
    edits.push(() => sites.put(edited.siteCode, { ...edited, description }));
  }
  return [random.pick(edits)(), ...(random.below(3) === 0 ? [random.pick(edits)()] : [])];
}
