/**
 * The receiving end of the bare stream: our server, our TLS, our windows, and nothing behind it.
 * Prints its address; ends when its parent does.
 */
import { pino } from 'pino';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcServer } from '../shared/rpc/rpc-server.ts';
import { collectGarbageLessOften } from '../shared/runtime/garbage-collection.ts';

// As the agents do, so that it is the ceiling.
collectGarbageLessOften();

const [caFile = '', certificateFile = '', keyFile = ''] = process.argv.slice(2);
const credentials = await readPeerCredentials({ caFile, certificateFile, keyFile });
const server = new RpcServer(
  { credentials, logger: pino({ enabled: false }), onAudit: () => {} },
  { address: '127.0.0.1:0', siteCode: 'PS1' },
);
const refuse = async () => {
  throw new Error('the bare stream only takes content');
};
server.serve('DistributionPoint', {
  check: refuse,
  begin: refuse,
  putManifest: refuse,
  inspect: async function* () {},
  findFiles: refuse,
  commit: refuse,
  removePackage: refuse,
  cancelAction: refuse,
  suspendAction: refuse,
  offerDeltas: refuse,
  applyDeltas: refuse,
  putPackageInfo: refuse,
  notifyPull: refuse,
  queryPull: refuse,
  importPrestaged: async function* () {},
  setControls: refuse,
  setTrust: refuse,
  validate: async function* () {},
  sweepLibrary: refuse,
  listPackages: async function* () {},
  putContent: async function* (requests) {
    let bytes = 0;
    for await (const request of requests) bytes += request.piece?.data.length ?? 0;
    if (bytes > 0) yield {};
  },
});
await server.start();
console.log(server.address);
process.stdin.resume().on('end', () => process.exit(0));
