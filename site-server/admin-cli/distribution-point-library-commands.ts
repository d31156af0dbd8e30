import type { DistributionPointPackage__Output } from '../../shared/rpc/generated/waybill/v1/DistributionPointPackage.ts';
import type { LibrarySurvey__Output } from '../../shared/rpc/generated/waybill/v1/LibrarySurvey.ts';
import { type Command, command } from './command.ts';
import { refusedWord } from './command-failure.ts';
import { dpIdPositional } from './distribution-point-record.ts';
import { distributionPointIdText, flag, positional } from './options.ts';
import type { Session } from './session.ts';
import type { Column } from './table.ts';
import { toByteText, toCountOf } from './units.ts';
import { toValidationRecord, unsoundCountOf, type ValidationRecord } from './validation-record.ts';
import { toCount, toHex } from './wire-values.ts';

const compareDistributionPoints = command({
  path: 'dp compare',
  positionals: '<dp-id> <other-dp-id>',
  summary: 'Which packages, versions and files differ between two distribution points',
  example: 'waybill dp compare PS1DP1 PS1DP2',
  options: (parser) =>
    parser
      .positional('dp-id', dpIdPositional)
      .positional(
        'other-dp-id',
        positional('other-dp-id', 'Distribution point to compare with', distributionPointIdText),
      ),
  run: async ({ dpId, otherDpId }, session) => {
    if (dpId === otherDpId) {
      const actual = `${dpId} twice`;
      throw refusedWord('', { expected: 'two distribution points', actual });
    }
    const [left, right] = [await libraryOf(session, dpId), await libraryOf(session, otherDpId)];
    const differences = differencesOf(left, right);
    const { output } = session;
    output.list(
      differences,
      [
        { title: 'package', text: (row) => row.packageId },
        { title: dpId, text: (row) => toSideText(row.left) },
        { title: otherDpId, text: (row) => toSideText(row.right) },
        { title: 'files', text: toFilesText },
      ],
      `${dpId} and ${otherDpId} hold the same: ${toCountOf(left.packages.size, 'package')}.`,
    );
  },
});

const sweepDistributionPoint = command({
  path: 'dp sweep',
  positionals: '<dp-id>',
  summary: 'Find what nobody uses in the library of a distribution point, and delete it',
  example: 'waybill dp sweep PS1DP1 --dry-run',
  options: (parser) =>
    parser
      .positional('dp-id', dpIdPositional)
      .option('dry-run', flag('Only tell'))
      .option(
        'unassigned-packages',
        flag('Take off packages, too, that its site does not mean to be there'),
      ),
  run: async (args, connected) => {
    const { dpId, dryRun, unassignedPackages } = args;
    const session = await atSiteOf(connected, dpId);
    const request = { dpId, dryRun, unassignedPackages };
    const swept = await session.admin.ask('sweepDistributionPoint', request);
    const [before, after] = [toSurveyRecord(swept.before), toSurveyRecord(swept.after)];
    const { unassignedPackages: unassigned, removedPackages: removed } = swept;
    const { output } = session;
    const rows = surveyRows(before, after, dryRun);
    output.record({ dpId, dryRun, before, after, unassigned, removed });
    if (!output.json) output.list(rows, surveyColumns(dryRun), '');
    if (removed.length > 0) output.sentence(`Taken off: ${removed.join(', ')}.`);
    const left = unassigned.filter((packageId) => !removed.includes(packageId));
    if (left.length > 0) {
      output.sentence(
        `Its site does not mean these packages to be there: ${left.join(', ')}. "waybill dp sweep ${dpId} --unassigned-packages" takes them off.`,
      );
    }
    if (!before.isIndexComplete) {
      output.sentence(
        'Its index is not complete: nobody knows what is unused, nothing is deleted.',
      );
    }
  },
});

/** `waybill dp compare` and `waybill dp sweep`. */
export const distributionPointLibraryCommands: readonly Command[] = [
  compareDistributionPoints,
  sweepDistributionPoint,
];

/** What is on a DP, as it says itself, and what its last validations found. */
interface Library {
  readonly packages: ReadonlyMap<string, ReturnType<typeof toInstalled>>;
  readonly results: ReadonlyMap<string, ValidationRecord>;
}

/** A session with the DP's own site; one that nobody knows, the connected site refuses. */
async function atSiteOf(connected: Session, dpId: string): Promise<Session> {
  const all = await connected.admin.list('listDistributionPoints', {});
  return connected.atSite(all.find((point) => point.dpId === dpId)?.siteCode);
}

/** Asked of the DP's own site. */
async function libraryOf(connected: Session, dpId: string): Promise<Library> {
  const { admin } = await atSiteOf(connected, dpId);
  const listed = (await admin.list('listDistributionPointPackages', { dpId })).map(toInstalled);
  const found = (await admin.list('listValidationResults', { dpId })).map(toValidationRecord);
  const results = new Map(found.map((one) => [one.packageId, one]));
  return {
    packages: new Map(
      listed.map((one) => [one.packageId, withLacking(one, results.get(one.packageId))]),
    ),
    results,
  };
}

function toInstalled({
  packageId,
  sourceVersion,
  packageHash,
  lackingFiles,
}: DistributionPointPackage__Output) {
  return { packageId, sourceVersion, packageHash: toHex(packageHash), lackingFiles };
}

/**
 * The DP itself counts what it has set aside, and no more: what is simply gone, or was set aside long ago,
 * its last validation has counted, as long as that is of the same version.
 */
function withLacking(one: ReturnType<typeof toInstalled>, result: ValidationRecord | undefined) {
  if (result?.sourceVersion !== one.sourceVersion) return one;
  return { ...one, lackingFiles: Math.max(one.lackingFiles, unsoundCountOf(result)) };
}

/** A package that is not the same on both; null: it is not there. */
interface Difference {
  readonly packageId: string;
  readonly left: ReturnType<typeof toInstalled> | null;
  readonly right: ReturnType<typeof toInstalled> | null;
  /** Names of files that one of them lacks, as far as validations have named them. */
  readonly files: readonly string[];
}

function differencesOf(left: Library, right: Library): Difference[] {
  const ids = [...new Set([...left.packages.keys(), ...right.packages.keys()])].sort();
  return ids.flatMap((packageId) => {
    const [one, other] = [left.packages.get(packageId), right.packages.get(packageId)];
    const isSame = one?.packageHash === other?.packageHash && !one?.lackingFiles;
    if (isSame && !other?.lackingFiles) return [];
    const files = [left, right].flatMap(({ packages, results }) => {
      const lacks = (packages.get(packageId)?.lackingFiles ?? 0) > 0;
      return lacks ? (results.get(packageId)?.files.map(({ path }) => path) ?? []) : [];
    });
    return [{ packageId, left: one ?? null, right: other ?? null, files: [...new Set(files)] }];
  });
}

/** `3`, `3, lacks 2 files`, `not there`. */
function toSideText(side: Difference['left']): string {
  if (!side) return 'not there';
  const { sourceVersion, lackingFiles } = side;
  return lackingFiles > 0
    ? `${sourceVersion}, lacks ${toCountOf(lackingFiles, 'file')}`
    : `${sourceVersion}`;
}

const namedMax = 3;

function toFilesText({ files }: Difference): string {
  const named = files.slice(0, namedMax).join(', ');
  return files.length > namedMax ? `${named} and ${files.length - namedMax} more` : named;
}

function toSurveyRecord(wire: LibrarySurvey__Output | null) {
  const sum = (one: { count: string; bytes: string } | null | undefined, name: string) => ({
    files: toCount(one?.count ?? '0', `${name}.count`),
    bytes: toCount(one?.bytes ?? '0', `${name}.bytes`),
  });
  return {
    isIndexComplete: wire?.isIndexComplete ?? false,
    unused: sum(wire?.unused, 'unused'),
    due: sum(wire?.due, 'due'),
    setAside: sum(wire?.setAside, 'set_aside'),
    foreignFiles: wire?.foreignFiles ?? 0,
    stagedPackages: wire?.stagedPackages ?? 0,
    stalePackages: wire?.stalePackages ?? 0,
    leftoverContents: wire?.leftoverContents ?? 0,
  };
}

type Survey = ReturnType<typeof toSurveyRecord>;

interface SurveyRow {
  readonly what: string;
  readonly before: string;
  readonly after: string;
}

function surveyRows(before: Survey, after: Survey, dryRun: boolean): SurveyRow[] {
  const row = (what: string, text: (survey: Survey) => string): SurveyRow => ({
    ...{ what, before: text(before) },
    after: dryRun ? '' : text(after),
  });
  const sumText = ({ files, bytes }: Survey['unused']) =>
    files === 0 ? 'none' : `${files}, ${toByteText(bytes)}`;
  return [
    row('files no package uses', (survey) => sumText(survey.unused)),
    row('of these, their grace is over', (survey) => sumText(survey.due)),
    row('packages with something staged', (survey) => `${survey.stagedPackages || 'none'}`),
    row('of these, nobody works on', (survey) => `${survey.stalePackages || 'none'}`),
    row('contents of no package', (survey) => `${survey.leftoverContents || 'none'}`),
    row('things that are no files of a library', (survey) => `${survey.foreignFiles || 'none'}`),
    row('damaged files kept aside', (survey) => sumText(survey.setAside)),
  ];
}

function surveyColumns(dryRun: boolean): readonly Column<SurveyRow>[] {
  return [
    { title: 'what', text: ({ what }) => what },
    { title: dryRun ? 'found' : 'before', text: ({ before }) => before },
    { title: 'now', text: ({ after }) => after },
  ];
}
