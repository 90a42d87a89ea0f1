module llmdbench.invalid/cluster/tools

go 1.26.0
