import { WaybillError } from '../../shared/domain/errors.ts';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { ImportPrestagedProgress } from '../../shared/rpc/generated/waybill/v1/ImportPrestagedProgress.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { progressStream } from '../../shared/runtime/progress-stream.ts';
import type { PrestagedImport, PrestagedImportProgress } from './prestaged-import.ts';

/** What answering needs. */
interface PrestagedConversationNeeds {
  readonly prestaged: Pick<PrestagedImport, 'run'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly dpId: string;
}

/** What of the DistributionPoint conversation is about prestaged files. */
export function prestagedConversation({
  prestaged,
  clock,
  dpId,
}: PrestagedConversationNeeds): Pick<Conversation<'DistributionPoint'>, 'importPrestaged'> {
  return {
    async *importPrestaged({ path }, context) {
      requireSelf(context, dpId);
      const steps = progressStream<PrestagedImportProgress>(
        (tell, signal) => prestaged.run(path, tell, signal),
        { clock, signal: context.signal },
      );
      for await (const step of steps) yield toMessage(step);
    },
  };
}

/** Of distribution points only this one, which is whoever has its key. @throws PEER_NOT_ALLOWED */
function requireSelf({ caller: { identity } }: CallContext, dpId: string): void {
  if (identity.kind !== 'dp' || identity.dpId === dpId) return;
  throw new WaybillError({
    code: 'PEER_NOT_ALLOWED',
    caller: toIdentityUri(identity),
    method: '/waybill.v1.DistributionPoint/ImportPrestaged',
    expected: `distribution point ${dpId} itself, or an administrator`,
  });
}

function toMessage({ result, ...progress }: PrestagedImportProgress): ImportPrestagedProgress {
  if (!result) return progress;
  const { isServed: alreadyServed, keptUntilMs } = result;
  return { ...progress, result: { alreadyServed, keptUntilMs } };
}
