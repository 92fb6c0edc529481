import { defineCommand } from "./command.ts";
import { UsageError } from "./exit-code.ts";
import { writeOut } from "./output.ts";
import { COMMANDS } from "./table.ts";

export default defineCommand({
  meta: { name: "completions", description: "Print a completion script for a shell" },
  args: { shell: { type: "positional", description: "bash, zsh or fish" } },
  async run({ args }) {
    const script = SCRIPTS[args.shell];
    if (script === undefined) throw new UsageError("the shell is bash, zsh or fish");
    await writeOut(script(Object.entries(COMMANDS).map(([name, { summary }]) => [name, summary] as const)));
    return 0;
  },
});

type Summaries = readonly (readonly [name: string, summary: string])[];

const SCRIPTS: { readonly [shell: string]: ((commands: Summaries) => string) | undefined } = {
  bash: (commands) => `# eval "$(latchgate completions bash)"
_latchgate() {
  local word="\${COMP_WORDS[COMP_CWORD]}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${commands.map(([name]) => name).join(" ")}" -- "$word"))
  elif [ "$COMP_CWORD" -eq 2 ] && [ "\${COMP_WORDS[1]}" = approvals ]; then
    COMPREPLY=($(compgen -W "list show approve deny" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -F _latchgate latchgate
`,
  zsh: (commands) => `#compdef latchgate
# eval "$(latchgate completions zsh)"
_latchgate() {
  local -a commands=(
${commands.map(([name, summary]) => `    '${name}:${summary.replaceAll("'", "'\\''")}'`).join("\n")}
  )
  if (( CURRENT == 2 )); then _describe command commands
  elif (( CURRENT == 3 )) && [[ $words[2] == approvals ]]; then compadd list show approve deny
  else _files; fi
}
compdef _latchgate latchgate
`,
  fish: (commands) =>
    `# latchgate completions fish | source
${commands
  .map(
    ([name, summary]) =>
      `complete -c latchgate -n __fish_use_subcommand -f -a ${name} -d '${summary.replaceAll("'", "\\'")}'`,
  )
  .join("\n")}
complete -c latchgate -n '__fish_seen_subcommand_from approvals' -f -a 'list show approve deny'
`,
};
