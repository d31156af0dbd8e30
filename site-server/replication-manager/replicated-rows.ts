import { parseDistributionPointId } from '../../shared/domain/distribution-point.ts';
import { parseObjectName } from '../../shared/domain/object-name.ts';
import { parsePackageId } from '../../shared/domain/package.ts';
import {
  type ReplicatedTable,
  type ReplicationWriter,
  replicatedTables,
} from '../../shared/domain/replicated-tables.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';
import type { NotificationTopic } from '../../shared/state-store/change-notifier.ts';
import { type KeySpace, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change } from '../../shared/state-store/state-store.ts';

/** A replicated row, by what it is called on the wire. */
export interface RowName {
  readonly table: ReplicatedTable;
  readonly key: string;
}

/** Where a site keeps a replicated row. */
export interface RowPlace {
  readonly space: KeySpace<unknown>;
  readonly key: string;
}

/** A notification, before it has a key. */
export interface RowNotice {
  readonly topic: NotificationTopic;
  readonly subject: string;
}

type KeyPart = 'site' | 'dp' | 'package' | 'dp or none' | 'name' | 'holder kind' | 'holder';

interface TablePlace {
  readonly space: KeySpace<unknown>;
  readonly keyParts: readonly KeyPart[];
}

/** Where the rows are kept, rows of this site's own that are mapped excepted. */
const places: { readonly [T in ReplicatedTable]: TablePlace } = {
  sites: { space: keySpaces.sites, keyParts: ['site'] },
  'site-identities': { space: keySpaces.siteIdentities, keyParts: ['site'] },
  routes: { space: keySpaces.routes, keyParts: ['site', 'site'] },
  'trust-bundles': { space: keySpaces.trustBundles, keyParts: ['name'] },
  'site-authorities': { space: keySpaces.siteAuthorities, keyParts: ['site'] },
  'hierarchy-distribution-points': {
    space: keySpaces.hierarchyDistributionPoints,
    keyParts: ['dp'],
  },
  'package-definitions': { space: keySpaces.packageDefinitions, keyParts: ['package'] },
  'package-requests': { space: keySpaces.packageRequests, keyParts: ['package', 'site'] },
  'package-assignments': { space: keySpaces.packageAssignments, keyParts: ['package', 'dp'] },
  'published-packages': { space: keySpaces.publishedPackages, keyParts: ['package'] },
  'site-contents': { space: keySpaces.siteContents, keyParts: ['package', 'site'] },
  'forwarding-failures': {
    space: keySpaces.forwardingFailures,
    keyParts: ['package', 'site', 'site'],
  },
  'site-package-status': {
    space: keySpaces.sitePackageStatus,
    keyParts: ['package', 'site', 'dp or none'],
  },
  links: { space: keySpaces.links, keyParts: ['name'] },
  'distribution-point-groups': { space: keySpaces.distributionPointGroups, keyParts: ['name'] },
  'group-members': { space: keySpaces.groupMembers, keyParts: ['name', 'dp'] },
  'group-assignments': { space: keySpaces.groupAssignments, keyParts: ['package', 'name'] },
  'group-wishes': { space: keySpaces.groupWishes, keyParts: ['package', 'dp'] },
  'validation-requests': { space: keySpaces.validationRequests, keyParts: ['package', 'dp'] },
  'validation-results': {
    space: keySpaces.validationResults,
    keyParts: ['package', 'site', 'dp or none'],
  },
  'audit-heads': { space: keySpaces.auditHeads, keyParts: ['site'] },
  'root-standings': { space: keySpaces.rootStandings, keyParts: ['site'] },
  'component-settings': { space: keySpaces.componentSettings, keyParts: ['site', 'name'] },
  revocations: { space: keySpaces.revocations, keyParts: ['site', 'holder kind', 'holder'] },
};

/** Tables whose own rows a site keeps in a local table, where its components work with them. */
const mappedTables: readonly ReplicatedTable[] = ['published-packages', 'site-package-status'];

export const tableNames = Object.keys(replicatedTables) as ReplicatedTable[];

const tableOfSpace = new Map<string, ReplicatedTable>(
  tableNames
    .filter((table) => !mappedTables.includes(table))
    .map((table) => [places[table].space.name, table]),
);

const partPatterns: Record<KeyPart, (text: string) => boolean> = {
  site: (text) => parseSiteCode(text) !== undefined,
  dp: (text) => parseDistributionPointId(text) !== undefined,
  name: (text) => parseObjectName(text) !== undefined,
  package: (text) => parsePackageId(text) !== undefined,
  'dp or none': (text) => text === '' || parseDistributionPointId(text) !== undefined,
  // As a holder they stand together in the row itself.
  'holder kind': (text) => /^[a-z]{2,6}$/.test(text),
  holder: (text) => /^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$/.test(text),
};

/** The table itself when there is one of this name. */
export function parseTable(text: string): ReplicatedTable | undefined {
  return Object.hasOwn(replicatedTables, text) ? (text as ReplicatedTable) : undefined;
}

/** A row's name as one text. */
export function rowIdOf({ table, key }: RowName): string {
  return `${table}/${key}`;
}

/** What `rowIdOf` made, of a table this program knows. */
export function fromRowId(rowId: string): RowName | undefined {
  const end = rowId.indexOf('/');
  const table = parseTable(rowId.slice(0, end));
  return table && { table, key: rowId.slice(end + 1) };
}

/** Whether a key has the parts of its table. */
export function isKeyOf({ table, key }: RowName): boolean {
  const parts = key.split('/');
  const { keyParts } = places[table];
  return (
    parts.length === keyParts.length &&
    keyParts.every((part, index) => partPatterns[part](parts[index] ?? ''))
  );
}

/** The site that alone may write a row; undefined when any may. */
export function writerOf({ table, key }: RowName): string | undefined {
  const writer: ReplicationWriter = replicatedTables[table].writer;
  if (writer === 'any site') return undefined;
  const parts = key.split('/');
  if ('siteInKeyPart' in writer) return parts[writer.siteInKeyPart];
  return parts[writer.packageInKeyPart]?.slice(0, 3);
}

/** Where this site keeps a row. */
export function placeOf(name: RowName, ownSiteCode: string): RowPlace {
  const { table, key } = name;
  const isMapped = mappedTables.includes(table) && writerOf(name) === ownSiteCode;
  if (!isMapped) return { space: places[table].space, key };
  if (table === 'published-packages') return { space: keySpaces.packages, key };
  const [packageId, , dpId] = key.split('/');
  return { space: keySpaces.packageStatus, key: `${packageId}/${dpId}` };
}

/** The tables of this site that hold replicated rows of its own, for a look through all of them. */
export const ownSpaces: readonly KeySpace<unknown>[] = [
  ...tableNames.filter((table) => !mappedTables.includes(table)).map((t) => places[t].space),
  keySpaces.packages,
  keySpaces.packageStatus,
];

/** The replicated row that a write of this site's changes; undefined when it is none. */
export function rowOfChange(change: Change, ownSiteCode: string): RowName | undefined {
  const { space, key } = change;
  const table = tableOfSpace.get(space);
  if (table) return { table, key };
  if (space === keySpaces.packages.name) {
    return isOwnPackage(change, ownSiteCode) ? { table: 'published-packages', key } : undefined;
  }
  if (space !== keySpaces.packageStatus.name) return undefined;
  const [packageId, dpId] = key.split('/');
  return { table: 'site-package-status', key: `${packageId}/${ownSiteCode}/${dpId}` };
}

function isOwnPackage(change: Change, ownSiteCode: string): boolean {
  if (!change.key.startsWith(ownSiteCode)) return false;
  if (change.type === 'delete') return true;
  return (change.value as { sourceSiteCode?: string }).sourceSiteCode === ownSiteCode;
}

/** Whom a change of a row wakes, whoever made it. */
export function noticesOf(name: RowName, ownSiteCode: string): RowNotice[] {
  const { table, key } = name;
  const [first = '', second] = key.split('/');
  switch (table) {
    case 'sites':
    case 'site-identities':
    case 'routes':
      return [{ topic: 'site', subject: first }];
    case 'hierarchy-distribution-points':
      return [{ topic: 'hierarchy-distribution-point', subject: first }];
    case 'site-contents':
    case 'forwarding-failures':
      return [{ topic: 'site-content', subject: first }];
    case 'site-package-status':
      // The source site waits for removals at the others.
      return second !== ownSiteCode && first.startsWith(ownSiteCode)
        ? [{ topic: 'site-package-status', subject: first }]
        : [];
    case 'distribution-point-groups':
    case 'group-members':
      return [{ topic: 'distribution-point-group', subject: first }];
    case 'validation-requests':
      return [{ topic: 'validation-request', subject: first }];
    case 'links':
    case 'audit-heads':
    case 'root-standings':
    case 'trust-bundles':
    case 'site-authorities':
    case 'component-settings':
    case 'validation-results':
    case 'revocations':
      // Whoever goes by them keeps them in memory, and sees each write.
      return [];
    default:
      return [{ topic: 'hierarchy-package', subject: first }];
  }
}
