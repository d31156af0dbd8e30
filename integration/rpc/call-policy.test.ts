import assert from 'node:assert/strict';
import { type Client, Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { WaybillError } from '../../shared/domain/errors.ts';
import { type PeerIdentity, toIdentityUri } from '../../shared/domain/peer-identity.ts';
import type { Conversation, ConversationName } from '../../shared/rpc/conversation.ts';
import { methodDefinition, type UntypedMethod } from '../../shared/rpc/service-definitions.ts';
import { foreignClient } from './foreign-client.ts';
import {
  dp,
  fullAdmin,
  operator,
  otherDp,
  otherSite,
  peers,
  reader,
  site,
  TrustCircle,
} from './trust-circle.ts';

const deadlineMs = 5_000;

/** Written out once more, by group of callers, so that a slip in the table cannot pass. */
const administrators = [fullAdmin, operator, reader];
const changers = [fullAdmin, operator];
const full = [fullAdmin];
const sites = [site, otherSite];
const expectations: Record<string, readonly PeerIdentity[]> = {
  'Admin.GetSite': administrators,
  'Admin.CreatePackage': changers,
  'Admin.SetPackage': changers,
  'Admin.UpdatePackage': changers,
  'Admin.DeletePackage': changers,
  'Admin.GetPackage': administrators,
  'Admin.ListPackages': administrators,
  'Admin.GetTrustBundle': administrators,
  'Admin.WatchPackage': administrators,
  'Admin.ExportPackage': changers,
  'Admin.ImportPackage': changers,
  'Admin.DistributePackage': changers,
  'Admin.RedistributePackage': changers,
  'Admin.RemovePackage': changers,
  'Admin.PreviewDistribution': changers,
  'Admin.PreviewUpdate': changers,
  'Admin.RetryFailed': changers,
  'Admin.ValidatePackage': changers,
  'Admin.ListValidationResults': administrators,
  'Admin.ListPackageStatus': administrators,
  'Admin.WatchPackageStatus': administrators,
  'Admin.AddDistributionPoint': full,
  'Admin.SetDistributionPoint': full,
  'Admin.DeleteDistributionPoint': full,
  'Admin.CheckDistributionPoint': administrators,
  'Admin.ListDistributionPointPackages': administrators,
  'Admin.SweepDistributionPoint': changers,
  'Admin.ListDistributionPoints': administrators,
  'Admin.AddGroup': full,
  'Admin.SetGroup': full,
  'Admin.DeleteGroup': full,
  'Admin.JoinGroup': changers,
  'Admin.LeaveGroup': changers,
  'Admin.ListGroups': administrators,
  'Admin.ListJobs': administrators,
  'Admin.WatchJobs': administrators,
  'Admin.MoveJobs': changers,
  'Admin.SuspendJobs': changers,
  'Admin.ResumeJobs': changers,
  'Admin.RunJobs': changers,
  'Admin.CancelJobs': changers,
  'Admin.ListStatusMessages': administrators,
  'Admin.ReadLog': administrators,
  'Admin.ListAuditRecords': administrators,
  'Admin.ReadAuditTrail': administrators,
  'Admin.ListAuditHeads': administrators,
  'Admin.AddSite': full,
  'Admin.SetSite': full,
  'Admin.DeleteSite': full,
  'Admin.ListSites': administrators,
  'Admin.RotateSigningKey': full,
  'Admin.RevokeCertificates': full,
  'Admin.ListRevocations': administrators,
  'Admin.ListSettings': administrators,
  'Admin.SetSettings': full,
  'Admin.SetRoute': full,
  'Admin.ListRoutes': administrators,
  'Admin.SetLink': full,
  'Admin.DeleteLink': full,
  'Admin.ListLinks': administrators,
  'Admin.ListCertificates': administrators,
  'Admin.ListSendRequests': administrators,
  'Admin.WatchSendRequests': administrators,
  'Admin.SteerSendRequests': changers,
  'Admin.CreateEnrollment': [fullAdmin],
  'Admin.ListEnrollments': administrators,
  'Admin.RevokeEnrollment': [fullAdmin],
  'Admin.ListAdministrators': administrators,
  'Admin.DeleteAdministrator': [fullAdmin],
  'DistributionPoint.Check': [site],
  'DistributionPoint.Begin': [site],
  'DistributionPoint.PutManifest': [site],
  'DistributionPoint.Inspect': [site],
  'DistributionPoint.FindFiles': [site],
  'DistributionPoint.PutContent': [site],
  'DistributionPoint.Commit': [site],
  'DistributionPoint.RemovePackage': [site],
  'DistributionPoint.CancelAction': [site],
  'DistributionPoint.SuspendAction': [site],
  'DistributionPoint.OfferDeltas': [site],
  'DistributionPoint.ApplyDeltas': [site],
  'DistributionPoint.PutPackageInfo': [site],
  'DistributionPoint.NotifyPull': [site],
  'DistributionPoint.QueryPull': [site],
  'DistributionPoint.ImportPrestaged': [dp, otherDp, ...changers],
  'DistributionPoint.SetControls': [site],
  'DistributionPoint.SetTrust': [site],
  'DistributionPoint.Validate': [site],
  'DistributionPoint.SweepLibrary': [site],
  'DistributionPoint.ListPackages': [site, ...administrators],
  'Content.GetManifest': peers,
  'Content.WatchHoldings': peers,
  'Content.Fetch': peers,
  'Content.ListDeltas': peers,
  'ManagementPoint.ReportState': [dp, otherDp],
  'ManagementPoint.LocateContent': peers,
  'Replication.Synchronise': sites,
  'Enrollment.Enroll': [],
  'Enrollment.Renew': [],
  'SiteEnrollment.PassEnroll': sites,
  'SiteEnrollment.PassRenew': sites,
  'SiteTransfer.OfferFile': sites,
  'SiteTransfer.PutFile': sites,
  'SiteTransfer.PutInstruction': sites,
};

/** Answers every method of a conversation with as little as it allows. */
function emptyAnswers<C extends ConversationName>(conversation: C): Conversation<C> {
  const answers: Record<string, unknown> = {};
  for (const [inConversation, method] of Object.keys(expectations).map((name) => name.split('.'))) {
    if (inConversation !== conversation || !method) continue;
    const name = method.charAt(0).toLowerCase() + method.slice(1);
    answers[name] = methodDefinition(conversation, name).responseStream
      ? async function* () {
          for (const never of []) yield never;
        }
      : async () => ({});
  }
  return answers as Conversation<C>;
}

/** The status a method answers with to one empty request, or to none where a stream may be empty. */
function statusOf(caller: Client, method: UntypedMethod): Promise<status> {
  const call = caller.makeBidiStreamRequest(
    method.path,
    (bytes: Buffer) => bytes,
    (bytes) => bytes,
    new Metadata(),
  );
  if (!method.requestStream) call.write(Buffer.alloc(0));
  call.end();
  call.resume();
  call.on('error', () => {});
  return new Promise((resolve) => call.on('status', ({ code }: StatusObject) => resolve(code)));
}

describe('call policy of a running server (SEC-1)', () => {
  it('lets exactly the callers of its table call each method', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.newServer();
    server.serve('Admin', emptyAnswers('Admin'));
    const others = [
      'Content',
      'DistributionPoint',
      'Enrollment',
      'ManagementPoint',
      'Replication',
      'SiteEnrollment',
      'SiteTransfer',
    ] as const;
    for (const name of others) {
      server.serve(name, emptyAnswers(name));
    }
    await server.start();
    for (const peer of peers) {
      const caller = foreignClient(server.address, await circle.credentials(peer));
      for (const [name, allowed] of Object.entries(expectations)) {
        const [conversation, method] = name.split('.') as [ConversationName, string];
        const code = await statusOf(caller, methodDefinition(conversation, method));
        const expected = allowed.includes(peer) ? status.OK : status.PERMISSION_DENIED;
        assert.equal(status[code], status[expected], `${name}, called by ${toIdentityUri(peer)}`);
      }
      caller.close();
    }
    const refusals = circle.audit.filter((event) => event.result === 'PEER_NOT_ALLOWED');
    const allowedCount = Object.values(expectations).flat().length;
    assert.equal(refusals.length, peers.length * Object.keys(expectations).length - allowedCount);
  });

  it('does not start a method that it refuses', async () => {
    await using circle = await TrustCircle.create();
    let isStarted = false;
    const server = await circle.serve('DistributionPoint', {
      putManifest: async () => {
        isStarted = true;
        return {};
      },
    });
    const caller = foreignClient(server.address, await circle.credentials(fullAdmin));
    const code = await statusOf(caller, methodDefinition('DistributionPoint', 'putManifest'));
    caller.close();
    assert.deepEqual({ code, isStarted }, { code: status.PERMISSION_DENIED, isStarted: false });
  });

  it('writes refusals and the results of changing calls to the audit trail (ADM-5)', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('Admin', {
      getPackage: async () => ({}),
      updatePackage: async () => ({}),
      async *cancelJobs({ dpId }) {
        if (dpId !== '') throw new WaybillError({ code: 'DISTRIBUTION_POINT_UNKNOWN', dpId });
        yield* [];
      },
      deletePackage: async ({ packageId }) => {
        throw new WaybillError({ code: 'PACKAGE_UNKNOWN', packageId });
      },
    });
    const channel = await circle.channel('Admin', server.address, {
      credentials: await circle.credentials(operator),
    });
    await channel.unary('getPackage', { packageId: 'PS100001' }, { deadlineMs });
    await channel.unary('updatePackage', { packageId: 'PS100001' }, { deadlineMs });
    await assert.rejects(channel.unary('deletePackage', { packageId: 'PS1FFFFF' }, { deadlineMs }));
    const cancel = async (dpId: string, lookOnly: boolean) => {
      const selection = { all: true, dpId, lookOnly };
      for await (const _ of channel.serverStream('cancelJobs', selection, { deadlineMs }));
    };
    await cancel('', true);
    await cancel('', false);
    await assert.rejects(cancel('NOPE', true));
    const readers = await circle.channel('Admin', server.address, {
      credentials: await circle.credentials(reader),
    });
    await assert.rejects(readers.unary('updatePackage', { packageId: 'PS100001' }, { deadlineMs }));
    const written = circle.audit.map(({ caller, method, result, detail }) =>
      [caller, method.split('/').at(-1), result, detail].join(' | '),
    );
    assert.deepEqual(written, [
      'waybill://admin/operator/olga | UpdatePackage | ok | packageId=PS100001',
      'waybill://admin/operator/olga | DeletePackage | PACKAGE_UNKNOWN | packageId=PS1FFFFF',
      'waybill://admin/operator/olga | CancelJobs | ok | all=true',
      'waybill://admin/operator/olga | CancelJobs | DISTRIBUTION_POINT_UNKNOWN | dpId=NOPE lookOnly=true all=true',
      'waybill://admin/read-only/rita | UpdatePackage | PEER_NOT_ALLOWED | expected administrators who may do the daily work',
    ]);
  });

  it('writes down so many refusals of one caller, be they of the policy or of the method (ADM-5)', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('Admin', {
      updatePackage: async ({ packageId }) => {
        throw new WaybillError({ code: 'PACKAGE_UNKNOWN', packageId });
      },
    });
    const channel = await circle.channel('Admin', server.address, {
      credentials: await circle.credentials(operator),
    });
    for (let batch = 0; batch < 14; batch++) {
      const calls = Array.from({ length: 50 }, () =>
        channel.unary('updatePackage', { packageId: 'PS1FFFFF' }, { deadlineMs }),
      );
      await Promise.allSettled(calls);
    }
    assert.equal(circle.audit.length, 600);
  });
});
