import { PackageDownload } from '../../../shared/content-download/package-download.ts';
import { SourceSet } from '../../../shared/content-download/source-set.ts';
import { ArrivingContents } from '../../../shared/content-server/arriving-contents.ts';
import type { PullSource } from '../../../shared/domain/pull-source.ts';
import type { PeerCredentials } from '../../../shared/rpc/peer-credentials.ts';
import type { Clock } from '../../../shared/runtime/clock.ts';
import { openSourceChannel } from './source-channel.ts';
import type { StartDownload } from './watched-download.ts';

/** What begins downloads over the network: the wiring of the package download. */
export function downloadStarter(needs: {
  credentials: PeerCredentials;
  clock: Clock;
  random: () => number;
}): StartDownload {
  const { credentials, clock, random } = needs;
  return ({ receiver, library, logger }, { action, sources, signal, events }) => {
    const set = new SourceSet(sources);
    const connect = (source: PullSource) =>
      openSourceChannel(source, credentials, (bytes) => events.received(source, bytes));
    // A client serves nobody: what arrives is told to no one.
    const arriving = new ArrivingContents();
    const needs = { receiver, library, arriving, connect, clock, random, logger };
    const observer = {
      contentState: async () => {},
      expected: events.expected,
      done: events.done,
      // Counted by source, where it comes in.
      received: () => {},
      lied: events.lied,
      waiting: events.waiting,
      resumed: events.resumed,
    };
    const run = async () => {
      const job = { action, sources: set, signal, observer };
      const downloaded = await new PackageDownload(needs).run(job);
      downloaded.end();
    };
    return { whenDone: run(), setSources: (latest) => set.set(latest) };
  };
}
