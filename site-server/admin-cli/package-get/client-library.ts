import { join } from 'node:path';
import { ContentLibrary } from '../../../shared/content-library/content-library.ts';
import { PackageReceiver } from '../../../shared/package-receiver/package-receiver.ts';
import type { Clock } from '../../../shared/runtime/clock.ts';
import { type Component, startInOrder, stopInReverse } from '../../../shared/runtime/component.ts';
import { type Logger, openLogging } from '../../../shared/runtime/logger.ts';
import { StateStore } from '../../../shared/state-store/state-store.ts';

/** A content library that takes one package. */
export interface ClientLibrary {
  readonly library: ContentLibrary;
  readonly receiver: PackageReceiver;
  readonly logger: Logger;
  close(): Promise<void>;
}

const hourMs = 3_600_000;
/** Nothing is swept: the folder goes as a whole, however long it has waited. */
const neverMs = 100 * 365 * 24 * hourMs;
const libraryConfig = {
  unreferencedGraceMs: neverMs,
  unfinishedGraceMs: neverMs,
  sweepIntervalMs: hourMs,
} as const;
/** As a distribution point takes files in; a client leaves as much room to others, too. */
const receiverConfig = {
  reserveBytes: 50 * 1024 * 1024,
  stagedFilesMax: 8192,
  stagedBytesMax: 256 * 1024 * 1024,
  unfinishedGraceMs: neverMs,
  sweepIntervalMs: hourMs,
} as const;

/**
 * Opens the library in a work folder, new or as a crash left it: the wiring of what receives. What
 * it has to say goes to log files beside it.
 *
 * @throws DATA_DIRECTORY_IN_USE, DISK_FULL
 */
export async function openClientLibrary(folder: string, clock: Clock): Promise<ClientLibrary> {
  const { logger, close } = await openLogging({ directory: join(folder, 'log'), level: 'info' });
  try {
    const stateDirectory = join(folder, 'store', 'state');
    const { store } = await StateStore.open({ directory: stateDirectory, logger });
    return await started({ folder, store, clock, logger, closeLog: close });
  } catch (error) {
    await close();
    throw error;
  }
}

async function started(needs: {
  folder: string;
  store: StateStore;
  clock: Clock;
  logger: Logger;
  closeLog: () => Promise<void>;
}): Promise<ClientLibrary> {
  const { store, clock, logger } = needs;
  const directory = join(needs.folder, 'library');
  const library = new ContentLibrary({ store, clock, logger }, { ...libraryConfig, directory });
  const receiver = new PackageReceiver(
    { library, store, clock, logger },
    { ...receiverConfig, incomingDirectory: join(directory, 'incoming') },
  );
  const components = [library, damageAcknowledged(store), receiver];
  try {
    await startInOrder(components);
  } catch (error) {
    await store.close();
    throw error;
  }
  const close = async () => {
    await stopInReverse(components);
    await store.close();
    await needs.closeLog();
  };
  return { library, receiver, logger, close };
}

/** Once the library has built its index from the files, nothing of a damaged store is missed. */
function damageAcknowledged(store: StateStore): Component {
  return {
    start: () => store.write([store.damageHandled()], { sync: true }),
    stop: async () => {},
  };
}
