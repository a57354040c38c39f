/** Asks whether a circuit is really to be isolated or reset, and for the token if it is not known yet. */
import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { give, type Order } from './order.js';
import { nameOf } from './words.js';

/** What the dialog needs. */
export interface OrderDialogProps {
  readonly order: Order;
  /** The token that was right before; kept in memory alone. */
  readonly token: string;
  readonly onDone: (detail: string, token: string) => void;
  readonly onCancel: () => void;
}

const says = {
  isolate: 'All its calls are refused from then on, until somebody resets it.',
  reset: 'It closes at once, lets every call through, and forgets what it counted.',
} as const;

export function OrderDialog({ order, token, onDone, onCancel }: OrderDialogProps): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  const [needsToken, setNeedsToken] = useState(token === '');
  const { action, breaker, row } = order;
  const verb = action === 'isolate' ? 'Isolate' : 'Reset';

  useEffect(() => {
    dialog.current?.showModal();
    field.current?.focus();
  }, []);

  const onSubmit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const entered = needsToken ? (field.current?.value ?? '') : token;
    setBusy(true);
    const result = await give(order, entered);
    setBusy(false);
    if (result.done) {
      onDone(result.detail, entered);
      return;
    }
    setProblem(result.detail);
    if (!result.wrongToken) return;
    setNeedsToken(true);
    field.current?.select();
  };

  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="order-title" onCancel={onCancel}>
      <form onSubmit={onSubmit}>
        <h2 id="order-title">
          {verb} circuit ‘{breaker.name}’?
        </h2>
        <p>
          It belongs to <b>{nameOf(row)}</b>. {says[action]}
        </p>
        {needsToken && (
          <label class="field">
            Token
            <input
              ref={field}
              type="password"
              name="token"
              autocomplete="off"
              required
              aria-describedby="order-problem"
            />
          </label>
        )}
        <p id="order-problem" class="problem" role="alert">
          {problem}
        </p>
        <div class="buttons">
          <button type="button" class="button" onClick={onCancel}>
            Cancel
          </button>
          <button type="submit" class={`button main ${action}`} disabled={busy}>
            {verb}
          </button>
        </div>
      </form>
    </dialog>
  );
}
