/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The completion scripts.  What they print knows nothing of the commands:
 * see tools/completion.h.
 */
#include "base/assert.h"
#include "tools/completion.h"
#include <string.h>

/* bash splits words at '=', ':' and '@' too (COMP_WORDBREAKS) and replaces only
 * the part behind the last of them, so the line is read by blanks, and the same
 * part is cut off the candidates. */
static const char bash_script[] =
    "# bash completion for varve, printed by: varve completion bash\n"
    "_varve() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} cut= candidate\n"
    "    local -a words\n"
    "    read -ra words <<< \"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=('')\n"
    "    local current=${words[-1]}\n"
    "    [[ $current == *[=:@]* ]] && cut=${current%\"${current##*[=:@]}\"}\n"
    "    COMPREPLY=()\n"
    "    while IFS=$'\\t' read -r candidate _; do\n"
    "        if [[ $candidate == :files ]]; then\n"
    "            compopt -o filenames\n"
    "            while IFS= read -r candidate; do\n"
    "                COMPREPLY+=(\"$candidate\")\n"
    "            done < <(compgen -f -- \"${current#\"$cut\"}\")\n"
    "            continue\n"
    "        fi\n"
    "        [[ $candidate == *[/:@] ]] && compopt -o nospace\n"
    "        COMPREPLY+=(\"${candidate#\"$cut\"}\")\n"
    "    done < <(\"${words[0]/#\\~/$HOME}\" completion words -- "
    "\"${words[@]:1}\" \\\n"
    "        2>/dev/null)\n"
    "}\n"
    "complete -F _varve varve\n";

static const char zsh_script[] =
    "#compdef varve\n"
    "# zsh completion for varve, printed by: varve completion zsh\n"
    "_varve() {\n"
    "    local line files=\n"
    "    local -a described beginnings\n"
    "    for line in \"${(@f)$(\"${words[1]}\" completion words -- \\\n"
    "            \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\"; do\n"
    "        case $line in\n"
    "        '') ;;\n"
    "        :files) files=1 ;;\n"
    "        */|*:|*@) beginnings+=(\"$line\") ;;\n"
    "        *$'\\t'*) described+=(\"${${line%%$'\\t'*}//:/\\\\:}:"
    "${line#*$'\\t'}\") ;;\n"
    "        *) described+=(\"${line//:/\\\\:}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    (( $#described )) && _describe varve described\n"
    "    (( $#beginnings )) && compadd -S '' -a beginnings\n"
    "    [[ -n $files ]] && _files\n"
    "    return 0\n"
    "}\n"
    "if [[ $funcstack[1] == _varve ]]; then\n"
    "    _varve \"$@\"\n"
    "else\n"
    "    compdef _varve varve\n"
    "fi\n";

static const char fish_script[] =
    "# fish completion for varve, printed by: varve completion fish\n"
    "function __varve_complete\n"
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    for line in ($words[1] completion words -- $words[2..-1] "
    "2>/dev/null)\n"
    "        if test \"$line\" = :files\n"
    "            __fish_complete_path (commandline -ct)\n"
    "        else\n"
    "            echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c varve -f -a '(__varve_complete)'\n";

const char *
completion_script(const char *shell)
{
	static const struct {
		const char *shell, *script;
	} scripts[] = {
	    {"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		if (strcmp(shell, scripts[i].shell) == 0)
			return scripts[i].script;
	}
	return NULL;
}
