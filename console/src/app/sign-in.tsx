// Where somebody without a session lands: a token can be pasted.
import { useState, type FormEvent } from "react";

import { Button } from "@/components/button";
import { TextArea } from "@/components/field";
import { Logo } from "./logo";
import { useSession } from "./session";
import { ThemeSwitch } from "./theme";

export function SignIn() {
  const { signIn, ended } = useSession();
  const [mistake, setMistake] = useState<string | null>(null);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const token = String(new FormData(event.currentTarget).get("token") ?? "");
    if (!signIn(token)) setMistake("This is not a token. It has three parts with dots between them.");
  };
  return (
    <main className="grid min-h-screen place-items-center bg-canvas px-4">
      <div className="absolute top-4 right-4">
        <ThemeSwitch />
      </div>
      <div className="w-full max-w-md rounded-2xl border border-line bg-surface p-7 shadow-card">
        <Logo />
        <h1 className="mt-6 text-xl font-semibold tracking-tight">Sign in</h1>
        <p className="mt-1 text-sm text-muted">
          Open this console from Deptex, where you are signed in already, or paste an access token. It is kept until this tab is closed.
        </p>
        {ended && (
          <p role="alert" className="mt-4 rounded-lg bg-warn-soft px-3 py-2 text-sm text-warn">
            {ended}
          </p>
        )}
        <form onSubmit={submit} className="mt-5 space-y-4">
          <TextArea label="Access token" name="token" isCode rows={5} required spellCheck={false} autoComplete="off" mistake={mistake} />
          <Button look="primary" type="submit" className="w-full">
            Sign in
          </Button>
        </form>
      </div>
    </main>
  );
}
