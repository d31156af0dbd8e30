import { outsideOf, outsideText, scopeText } from '../../shared/domain/admin-scope.ts';
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
  /** The site of this DP. */
  readonly siteCode: string;
}

/** What of the DistributionPoint conversation is about prestaged files. */
export function prestagedConversation({
  prestaged,
  clock,
  dpId,
  siteCode,
}: PrestagedConversationNeeds): Pick<Conversation<'DistributionPoint'>, 'importPrestaged'> {
  return {
    async *importPrestaged({ path }, context) {
      requireSelf(context, dpId);
      requireScope(context, { dpId, siteCode });
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

/** In which groups it is, a DP does not know: of a scope only the sites count here. @throws SCOPE_EXCEEDED */
function requireScope(
  { caller: { identity } }: CallContext,
  own: { readonly dpId: string; readonly siteCode: string },
): void {
  if (identity.kind !== 'admin' || !identity.scope) return;
  const { scope } = identity;
  const outside = outsideOf(scope, { points: [{ ...own, groupNames: [] }] });
  if (outside.length === 0) return;
  const facts = { scope: scopeText(scope), outside: outsideText(outside) };
  throw new WaybillError({ code: 'SCOPE_EXCEEDED', caller: toIdentityUri(identity), ...facts });
}

function toMessage({ result, ...progress }: PrestagedImportProgress): ImportPrestagedProgress {
  if (!result) return progress;
  const { isServed: alreadyServed, keptUntilMs } = result;
  return { ...progress, result: { alreadyServed, keptUntilMs } };
}
