import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import { toDurationText } from '../../shared/runtime/duration-text.ts';
import { type Command, command } from './command.ts';
import { CommandFailure, UsageError } from './command-failure.ts';
import { showWhile } from './display.ts';
import { GetView, toSourceName } from './get-view.ts';
import { durationText, exclusiveFlag, option, someText } from './options.ts';
import type { FetchedPackage, PackageAccess } from './package-get/package-access.ts';
import { tellLocation } from './package-location-text.ts';
import { packageIdPositional } from './package-request.ts';
import type { Session } from './session.ts';
import { toByteText, toCountOf } from './units.ts';

const getPackage = command({
  path: 'get',
  positionals: '<package-id>',
  summary: 'Fetch a package from the best distribution point, every byte verified',
  example: 'waybill get PS100001 --out office',
  options: (parser) =>
    parser
      .positional('package-id', packageIdPositional)
      .option('out', option('out', 'Directory for it: a new or an empty one', someText))
      .option('info', exclusiveFlag('What it is, its programs, where it is; fetches nothing'))
      .option('timeout', option('timeout', 'Give up after so long, such as 10m', durationText))
      .conflicts('info', ['out', 'timeout']),
  run: async ({ packageId, out, info, timeout }, session) => {
    if (!info && out === undefined) throw new UsageError('expected --out, or --info');
    const packages = await session.openPackages();
    try {
      if (out === undefined) {
        tellLocation(session, await packages.locate(packageId, session.signal));
      } else {
        const fetched = await fetchPackage(session, packages, { packageId, out, timeout });
        tellFetched(session, fetched);
      }
    } finally {
      packages.close();
    }
  },
});

/** `waybill get`. */
export const getCommands: readonly Command[] = [getPackage];

interface Asked {
  readonly packageId: string;
  readonly out: string;
  /** Milliseconds; without an end when undefined. */
  readonly timeout: number | undefined;
}

async function fetchPackage(
  session: Session,
  packages: PackageAccess,
  asked: Asked,
): Promise<FetchedPackage> {
  const { clock, output } = session;
  const { packageId, out: outDirectory } = asked;
  const later: string[] = [];
  // Between the lines that are drawn in place a note would be torn apart.
  const warn = (text: string) => (output.isLive ? void later.push(text) : output.note(text));
  const view = new GetView({ packageId, outDirectory, clock, paint: output.paint, warn });
  const deadline = startDeadline(session, asked.timeout);
  const { signal } = deadline;
  try {
    return await showWhile(session, { view, keep: false }, (changed) => {
      view.onChanged(changed);
      changed();
      return packages.get({ packageId, outDirectory }, { signal, observer: view });
    });
  } catch (error) {
    const { workPath } = view;
    throw toGetFailure(error, { session, isLate: deadline.isLate(), workPath, asked });
  } finally {
    deadline.end();
    for (const text of later) output.note(text);
  }
}

interface Deadline {
  /** Fires at Ctrl-C and when the time is up. */
  readonly signal: AbortSignal;
  isLate(): boolean;
  end(): void;
}

function startDeadline({ clock, signal }: Session, timeoutMs: number | undefined): Deadline {
  const late = new AbortController();
  const over = new AbortController();
  if (timeoutMs !== undefined) {
    clock.sleep(timeoutMs, over.signal).then(
      () => late.abort(),
      () => {
        // It ended in time.
      },
    );
  }
  return {
    signal: AbortSignal.any([signal, late.signal]),
    isLate: () => late.signal.aborted,
    end: () => over.abort(),
  };
}

/** The failure, with how to go on where something was fetched. */
function toGetFailure(
  error: unknown,
  needs: { session: Session; isLate: boolean; workPath: string | undefined; asked: Asked },
): unknown {
  const { session, isLate, workPath, asked } = needs;
  const { packageId } = asked;
  const facts = { packageId, ...(workPath === undefined ? {} : { workPath }) };
  const goOn =
    workPath === undefined
      ? ''
      : `. What is fetched is in ${workPath}; the same command goes on from there`;
  if (isErrorWithCode(error, 'DISK_FULL') && error.details.code === 'DISK_FULL') {
    const { path, freeBytes, neededBytes } = error.details;
    const room = `${path} has ${toByteText(freeBytes)} free; ${toByteText(neededBytes)} are needed`;
    return new CommandFailure('NO_ROOM', room + goOn, { ...facts, path, freeBytes, neededBytes });
  }
  if (isAbortError(error) && session.signal.aborted) {
    return new CommandFailure('INTERRUPTED', `Interrupted${goOn}`, facts);
  }
  if (isAbortError(error) && isLate) {
    const message = `Package ${packageId} is not here after ${toDurationText(asked.timeout ?? 0)}`;
    return new CommandFailure('TIMED_OUT', message + goOn, facts);
  }
  if (workPath !== undefined && !session.output.json) session.output.note(goOn.slice(2));
  return error;
}

function tellFetched({ output }: Session, fetched: FetchedPackage): void {
  const { packageId, sourceVersion, outDirectory, fileCount, sizeBytes } = fetched;
  const { receivedBytes, durationMs } = fetched;
  output.record({
    packageId,
    sourceVersion,
    out: outDirectory,
    files: fileCount,
    bytes: sizeBytes,
    receivedBytes,
    seconds: Math.round(durationMs) / 1000,
    sources: fetched.sources.map(({ source, receivedBytes: bytes }) => ({
      source: toIdentityUri(source.identity),
      address: source.address,
      rank: source.rank,
      bytes,
    })),
  });
  const from = fetched.sources.map(
    ({ source, receivedBytes: bytes }) => `${toByteText(bytes)} from ${toSourceName(source)}`,
  );
  output.sentence(
    `Package ${packageId} version ${sourceVersion} is in ${outDirectory}: ` +
      `${toCountOf(fileCount, 'file')}, ${toByteText(sizeBytes)}, every byte verified.`,
  );
  output.sentence(
    `It took ${toDurationText(durationMs)}; ${from.join(', ') || 'nothing had to be fetched'}.`,
  );
}
