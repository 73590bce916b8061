// The full status, asked for while a page that shows it is open and in sight.

import { useEffect, useState } from '../vendor/preact.js';
import { get } from '../lib/api.js';

/** @returns {[any, any, () => void]} status, the last error, and asking at once */
export function useStatus(everyMs = 3_000) {
  const [status, setStatus] = useState(null);
  const [error, setError] = useState(null);
  const [asked, ask] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    const load = () => {
      if (document.hidden) return;
      get('/status', { signal: stop.signal }).then((now) => { setStatus(now); setError(null); }, (failed) => { if (!stop.signal.aborted) setError(failed); });
    };
    load();
    const timer = setInterval(load, everyMs);
    return () => { clearInterval(timer); stop.abort(); };
  }, [everyMs, asked]);
  return [status, error, () => ask((n) => n + 1)];
}
