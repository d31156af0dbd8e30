import { WaybillError } from '../../shared/domain/errors.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../../shared/rpc/rpc-channel.ts';

/** How the running agent is reached, by a program on its machine. */
interface RunningAgent {
  /** Those of the DP itself: whoever may read its key may do what it does. */
  readonly credentials: PeerCredentials;
  readonly dpId: string;
  /** host:port it listens on; every address of the machine is reached by loopback. */
  readonly address: string;
  /** Takes what an administrator is told, a line at a time. */
  readonly told: (line: string) => void;
}

/** Share of a step after which another line is told. */
const toldPercent = 25;

/**
 * Asks the running agent of this machine to import a prestaged file.
 *
 * @throws REQUEST_INVALID when nobody can know where the agent listens, or for want of room
 * @throws PEER_UNREACHABLE when no agent runs; what the import refuses
 */
export async function importAtAgent(agent: RunningAgent, path: string): Promise<void> {
  const { dpId, credentials, told } = agent;
  if (agent.address.endsWith(':0')) {
    const expected = 'host:port of the running agent, whose configuration leaves the port open';
    throw requestInvalid('--agent', { expected, actual: 'none' });
  }
  const channel = new RpcChannel({
    conversation: 'DistributionPoint',
    address: toReachable(agent.address),
    expected: (peer) => peer.kind === 'dp' && peer.dpId === dpId,
    expectedText: `the running agent of distribution point ${dpId}`,
    credentials,
  });
  try {
    let lastTold = -1;
    for await (const progress of channel.serverStream('importPrestaged', { path }, {})) {
      const { packageId, sourceVersion, siteCode, result } = progress;
      const name = `Package ${packageId} version ${sourceVersion}, made by site ${siteCode}`;
      const percent = percentOf(progress);
      if (result) told(`${name}: ${resultText(result)}`);
      else if (percent !== lastTold) told(`${name}: ${percent} %`);
      lastTold = percent;
    }
  } catch (error) {
    throw toRoomFailure(error);
  } finally {
    channel.close();
  }
}

/** Nothing of this goes on by itself once there is room. */
function toRoomFailure(error: unknown): unknown {
  if (!(error instanceof WaybillError) || error.details.code !== 'DISK_FULL') return error;
  const { path, freeBytes, neededBytes } = error.details;
  const remedy = 'Nothing was imported. Make room and import again';
  return requestInvalid(path, {
    expected: `${neededBytes} bytes free`,
    actual: `${freeBytes} bytes`,
    remedy,
  });
}

function percentOf(progress: { readonly doneBytes: string; readonly totalBytes: string }): number {
  const total = Number(progress.totalBytes);
  const percent = total === 0 ? 0 : (100 * Number(progress.doneBytes)) / total;
  return Math.floor(percent / toldPercent) * toldPercent;
}

function resultText(result: { readonly alreadyServed: boolean; readonly keptUntilMs: string }) {
  if (result.alreadyServed) return 'this distribution point serves it already; nothing to do';
  const day = new Date(Number(result.keptUntilMs)).toISOString().slice(0, 10);
  return `its files are here, verified, and stay until ${day}; distribute the package to this distribution point`;
}

/** An agent that listens on all addresses of its machine is reached on loopback. */
function toReachable(address: string): string {
  return address.replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:');
}
