use serde::{Deserialize, Serialize};

/// How much a finding matters to the person who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Look twice.
    Caution,
    /// Could do harm that the effect alone does not show.
    High,
    /// Not to be run through the gateway at all.
    Refuse,
}

/// One observation about an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What was observed.
    pub code: Code,
    /// How much it matters; always [`Code::severity`] of `code`.
    pub severity: Severity,
    /// The bytes it is about, from and up to (exclusive), where there is such a place.
    pub span: Option<(usize, usize)>,
    /// One plain sentence. Names from the artifact in it have their hidden characters escaped.
    pub sentence: String,
}

macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident $blocks:literal $text:literal;)*) => {
        /// Every kind of observation there is. Closed: a new one is a reviewed change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $(#[doc = $text] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name used on the wire and in policies.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How much it matters.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// True if an artifact with this finding counts as not understood: its effect may be incomplete.
            pub const fn blocks(self) -> bool {
                match self { $(Self::$variant => $blocks,)* }
            }

            /// What it means, for documentation and for the page's help text.
            pub const fn explain(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

// Variant, wire name, severity, whether it makes the artifact "not understood", meaning.
codes! {
    HiddenInCode "hidden_in_code" Refuse true "Invisible or direction-changing characters stand where code stands; what is seen is not what would run.";
    HiddenInText "hidden_in_text" High false "Invisible or direction-changing characters stand inside a string or a comment.";
    MixedScript "mixed_script" High false "A name mixes alphabets, so it can look like another name.";
    NonAsciiName "non_ascii_name" Caution false "A name uses letters outside ASCII; compare it with the real name.";
    TooLongToReview "too_long_to_review" High false "The artifact has more than 400 lines; nobody reviews that well.";
    TooLarge "too_large" Refuse true "The artifact is larger than analysis accepts.";
    NestedTooDeep "nested_too_deep" Refuse true "Brackets, or parts of the statement, are nested deeper than analysis accepts, or signs run on too long.";
    ExecutableComment "executable_comment" Refuse true "A comment that the server runs as code, or takes as a hint.";
    TrailingContent "trailing_content" Caution false "Text follows the end of the statement.";
    SyntaxError "syntax_error" High true "The target's grammar does not accept the artifact.";
    EmptyStatement "empty_statement" High true "The artifact holds no statement.";
    MultiStatement "multi_statement" Refuse true "The artifact holds more than one statement.";
    UnsupportedSyntax "unsupported_syntax" High true "A construct that analysis does not follow.";
    AnalysisIncomplete "analysis_incomplete" High true "A second walk over the parsed statement saw something the first did not account for.";
    EffectTooLarge "effect_too_large" Refuse true "The effect names more than can be shown or signed.";
    CatalogUnusable "catalog_unusable" High true "The snapshot of the target's schema cannot be rebuilt, so names cannot be resolved.";
    UnknownRelation "unknown_relation" High true "A table or view that the target's schema does not have.";
    UnknownColumn "unknown_column" High true "A column that no relation in reach has.";
    UnknownFunction "unknown_function" High true "A function that the target's schema does not have.";
    AmbiguousName "ambiguous_name" High true "A name with a dot, a star or hidden characters in it, which cannot be told apart from another in the effect.";
    Parameter "parameter" High true "A parameter without a value, or a value without a parameter.";
    SecretInside "secret_inside" High false "What looks like a key, token or private key stands inside; everybody who sees the artifact sees it.";
    MaskedValue "masked_value" Refuse true "A token that a release put in the place of a masked value is used as if it were the value.";
    NotFromRequest "not_from_request" High false "A value, or what is done, that does not come from the person's request.";
    HeldValue "held_value" High false "A value stands inside that a person kept back when this agent was given a result.";
    Canary "canary" Refuse true "A marker of the gateway stands inside, which is planted to see data leave; the session ends.";
    BlindCopy "blind_copy" Caution false "A mail goes to somebody whom its other readers do not see.";
    NewRecipient "new_recipient" Caution false "A mail goes to somebody to whom none was sent from here before.";
    LookalikeRecipient "lookalike_recipient" High false "A mail goes to a domain that looks like a known one and is another.";
    OutsideRecipient "outside_recipient" Info false "A mail goes outside the mailbox's own domain.";
    OperationUnclear "operation_unclear" Refuse true "A request to a GraphQL path that is not one readable query or mutation.";
    PaymentUnclear "payment_unclear" Refuse true "A request that moves money does not say beyond doubt how much to whom.";
    NewPayee "new_payee" High false "Money goes to an account to which none went from here before.";
    ChangedAccount "changed_account" High false "Money goes to a known name at another account than before.";
    LookalikePayee "lookalike_payee" High false "Money goes to a name that looks like a known one and is another.";
    LoginRights "login_rights" Caution false "The run has all rights of the target's login, not only those of this effect; register the target with minted rights to bind it to them.";
    CannotMint "cannot_mint" High false "The target's login may not make a role for the run, so the run has all rights of the login.";
    RequestMalformed "request_malformed" High true "The artifact is no request of the gateway's form, or could be read in two ways.";
    UnknownOperation "unknown_operation" High false "A request that the service's description does not have.";
    OperationMismatch "operation_mismatch" High false "A request that contradicts the service's description: something required is missing, or of another type.";
    UnknownTool "unknown_tool" High true "A tool that the MCP server does not have.";
    ToolArguments "tool_arguments" High true "The arguments contradict what the tool says that it takes.";
    ToolMayWrite "tool_may_write" High false "A tool that is registered as one that only reads; its server does not say so.";
    ToolDestroys "tool_destroys" Caution false "The server itself says that the tool may destroy.";
    ToolSays "tool_says" Info false "The server's own words about the tool.";
    RequestNotRegistered "request_not_registered" Refuse true "The target's registration does not name this method and path.";
    UserType "user_type" Caution false "A type defined by users; converting to it may run their checks.";
    UserOperator "user_operator" High true "An operator that is not one of the server's own; it may run any function.";
    ViewRead "view_read" Caution false "A view is read; its definition decides what else is read and which functions run.";
    WritesView "writes_view" High false "Rows are written through a view into the relations behind it.";
    ForeignRelation "foreign_relation" High false "The data of a relation lives on another server.";
    SystemCatalog "system_catalog" Refuse true "The server's own tables would be changed.";
    TriggerNotFollowed "trigger_not_followed" High true "Triggers fire on a relation that is written; what they do is not known.";
    RuleNotFollowed "rule_not_followed" High true "Rewrite rules apply to a relation that is used; what they do is not known.";
    TriggerFires "trigger_fires" Caution false "Triggers fire; what they do is part of the effect.";
    Cascades "cascades" High false "Foreign keys change or delete rows of other relations along with these.";
    RowSecurity "row_security" Info false "Row-level security decides which rows are touched.";
    SequenceAdvanced "sequence_advanced" Caution false "A sequence moves on, which no roll-back takes back.";
    RowLocks "row_locks" Caution false "Rows are locked, which needs the right to change them and makes others wait.";
    DangerousFunction "dangerous_function" Refuse true "A function that reaches files, other servers, other sessions or settings, or runs text as a statement.";
    VolatileFunction "volatile_function" High true "A function that may do anything.";
    UserFunction "user_function" Caution false "A function written by users and declared to depend on its arguments only.";
    UserFunctionReads "user_function_reads" High true "A function written by users that may read any relation.";
    SecurityDefiner "security_definer" High true "A function that runs with its owner's rights, beyond the lock.";
    NoWhere "no_where" High false "Every row is changed or deleted: there is no condition, or one that is always true.";
    Ddl "ddl" High false "The schema or a right is changed.";
    CommitsItself "commits_itself" High false "The target commits this by itself; nothing can hold it or roll it back.";
    SelectInto "select_into" High false "A query makes a new table.";
    WritingCte "writing_cte" Caution false "Rows are written inside a WITH clause.";
    ExplainExecutes "explain_executes" High false "EXPLAIN ANALYZE runs the statement it explains.";
    ShowsSetting "shows_setting" Caution false "A setting of the server is shown.";
    SessionStatement "session_statement" Refuse true "A setting, cursor, channel or prepared statement of the session; one run has no session.";
    TransactionStatement "transaction_statement" Refuse true "Transactions and locks are the gateway's to open and close.";
    CodeBlock "code_block" Refuse true "A block or procedure whose statements cannot be shown.";
    CopyStatement "copy_statement" Refuse true "COPY moves rows in bulk to or from a file, a program or the connection.";
    ServerControl "server_control" Refuse true "The server itself is controlled: its settings, libraries or files.";
    PragmaStatement "pragma_statement" Refuse true "PRAGMA reads or changes how the database file works.";
    AttachStatement "attach_statement" Refuse true "Another database file is attached or detached.";
    ReplacesRows "replaces_rows" High false "Rows that are in the way of new ones are deleted.";
    SchemaTableWrite "schema_table_write" Refuse true "The schema table is written directly.";
    UnknownAction "unknown_action" Refuse true "The engine names an action that analysis does not know.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_wire_and_unique() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()));
            assert!(!code.explain().is_empty());
            assert!(code.severity() != Severity::Refuse || code.blocks(), "{}", code.as_str());
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{}\"", code.as_str()));
        }
    }
}
