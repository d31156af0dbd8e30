import type { ContentDescriptor } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import { WaybillError } from '../domain/errors.ts';
import {
  deltaMessageLength,
  requireDelta,
  toldDeltaCountMax,
} from '../package-info/delta-message.ts';
import { priorityNames } from '../package-info/priority-message.ts';
import { workIsOver } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import { WakeSignal } from '../runtime/wake-signal.ts';
import { toContentName } from './content-messages.ts';
import type { DownloadSources } from './download-sources.ts';
import type { Intake } from './intake.ts';
import type { SourceConnection } from './source-connection.ts';

/** How long a source may take to list its deltas, or to say that it does not know yet. */
const listMsMax = 5_000;
/** Bytes of a list that are kept in memory, whatever a source tells: as many as a library lists. */
const listBytesMax = 32 * 2 ** 20;

export interface DeltaNewsNeeds {
  readonly sources: DownloadSources;
  readonly intake: Intake;
  readonly clock: Pick<Clock, 'sleep'>;
  /** Ends it all. */
  readonly signal: AbortSignal;
}

/**
 * What the sources of a content say of its deltas. Every usable one is asked once. One to which the
 * content itself is arriving may not know yet; then it is listened to until it does, while the
 * download goes on: a pull DP behind a pull DP asks before the other one has heard of a delta.
 */
export class DeltaNews implements Disposable {
  /** The first list that names anything, of those that can be told at once; empty when none does. */
  readonly soon: Promise<readonly Delta[]>;
  /** The same of all lists: settles when one names anything, or the last source has told. */
  readonly late: Promise<readonly Delta[]>;
  readonly #over = new AbortController();

  constructor(content: ContentDescriptor, needs: DeltaNewsNeeds) {
    const { sources, signal } = needs;
    const over = AbortSignal.any([signal, this.#over.signal]);
    const asked = sources.connections
      .filter(({ isUsable }) => isUsable)
      .map((connection) => askForDeltas(connection, content, { ...needs, over }));
    this.soon = firstOf(asked.map(({ list, isLater }) => Promise.race([list, isLater])));
    this.late = firstOf(asked.map(({ list }) => list));
  }

  /** Asks nobody any more; what was not told is nothing. */
  [Symbol.dispose](): void {
    this.#over.abort(workIsOver);
  }
}

/** The first that is not empty, else an empty one; a failure counts as empty: deltas are advice. */
function firstOf(lists: readonly Promise<readonly Delta[]>[]): Promise<readonly Delta[]> {
  const named = lists.map(async (told) => {
    const list = await told;
    if (list.length === 0) throw new Error('It knows of no delta');
    return list;
  });
  return Promise.any(named).catch(() => []);
}

interface AskedSource {
  readonly list: Promise<readonly Delta[]>;
  /** Settles, with nothing, when it says that it does not know yet. @throws AbortError */
  readonly isLater: Promise<readonly Delta[]>;
}

function askForDeltas(
  connection: SourceConnection,
  content: ContentDescriptor,
  {
    clock,
    intake,
    over,
  }: Pick<DeltaNewsNeeds, 'clock' | 'intake'> & { readonly over: AbortSignal },
): AskedSource {
  const [timer, tooLate] = [new AbortController(), new AbortController()];
  clock.sleep(listMsMax, timer.signal).then(
    () => tooLate.abort(workIsOver),
    () => {},
  );
  const signal = AbortSignal.any([over, tooLate.signal]);
  const later = new WakeSignal();
  const onLater = () => {
    timer.abort(workIsOver);
    later.wake();
  };
  const list = listOf(connection, content, { intake, signal, over, onLater });
  return {
    list: list.finally(() => timer.abort(workIsOver)),
    isLater: later.wait(over).then(() => []),
  };
}

interface ListCall {
  readonly intake: Intake;
  readonly signal: AbortSignal;
  /** Ends the whole look for deltas. */
  readonly over: AbortSignal;
  readonly onLater: () => void;
}

async function listOf(
  { channel }: SourceConnection,
  content: ContentDescriptor,
  { intake, signal, over, onLater }: ListCall,
): Promise<readonly Delta[]> {
  const deltas: Delta[] = [];
  const countMax = Math.min(toldDeltaCountMax, content.fileCount);
  let bytesLeft = listBytesMax;
  let mayBeEmpty = true;
  const priority = priorityNames[intake.priority];
  const request = { content: toContentName(content), priority };
  for await (const part of channel.serverStream('listDeltas', request, { signal })) {
    if (part.deltas.length === 0) {
      if (!mayBeEmpty) throw tooMany();
      mayBeEmpty = false;
      onLater();
    }
    const leftBefore = bytesLeft;
    for (const message of part.deltas) {
      const delta = requireDelta(message);
      bytesLeft -= deltaMessageLength(delta);
      if (bytesLeft < 0 || deltas.push(delta) > countMax) throw tooMany();
    }
    intake.charge(leftBefore - bytesLeft, over);
  }
  return deltas;
}

function tooMany(): WaybillError {
  const [expected, actual] = ['deltas of this content, in short', 'too many of them'];
  return new WaybillError({ code: 'MESSAGE_INVALID', field: 'deltas', expected, actual });
}
